//! An interpreter of the opcodes with which `torch.save` and TorchScript write tensors in dictionaries, lists and modules. A pickle
//! can name any function to be called; this one knows those of a tensor and refuses all others. Nothing is run.

use std::collections::HashMap;

use super::Dtype;

/// Place of a value in [`Pickle::nodes`]: values are shared, not copied, so that no pickle can make many of few bytes.
pub(super) type Id = u32;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Mark,
    /// None, a number with a fraction, what is not true: nothing that leads to a tensor.
    Other,
    True,
    Integer(i64),
    Text(String),
    /// A tuple or list.
    Items(Vec<Id>),
    /// A dictionary, or the attributes of a module.
    Names(Vec<(Id, Id)>),
    Function(Function),
    Storage(Dtype, String),
    Tensor(Stored),
}

/// A tensor: where its numbers are and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) dtype: Dtype,
    /// Name of the file of numbers.
    pub(super) storage: String,
    /// First number.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    /// A module of TorchScript: a bag of attributes.
    Module,
    Storage(Dtype),
}

/// Most values of a pickle; ten times the largest CLIP's.
const MOST: usize = 1 << 18;

/// All values of a pickle, and which of them it is.
pub(super) struct Pickle {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Id,
}

impl Pickle {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        Self::parse_next(&mut &*bytes)
    }

    /// The pickle at the start of `bytes`, which then hold what comes after it.
    pub(super) fn parse_next(bytes: &mut &[u8]) -> Result<Self, String> {
        let mut machine =
            Machine { rest: bytes, nodes: Vec::new(), stack: Vec::new(), memo: HashMap::new(), next_memo: 0 };
        let root = machine.run()?;
        *bytes = machine.rest;
        Ok(Self { nodes: machine.nodes, root })
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<Id>,
    memo: HashMap<u32, Id>,
    next_memo: u32,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            let [code] = self.take()?;
            match code {
                0x80 => drop(self.take::<1>()?), // protocol
                0x95 => drop(self.take::<8>()?), // frame
                b'.' => return self.pop(),
                b'(' => self.push(Node::Mark)?,
                b'N' | 0x89 => self.push(Node::Other)?,
                0x88 => self.push(Node::True)?,
                b'G' => {
                    self.take::<8>()?;
                    self.push(Node::Other)?;
                }
                b'}' => self.push(Node::Names(Vec::new()))?,
                b')' | b']' => self.push(Node::Items(Vec::new()))?,
                b't' | b'l' => {
                    let items = self.since_mark()?;
                    self.push(Node::Items(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.extend(items)?;
                }
                b's' => {
                    let (value, name) = (self.pop()?, self.pop()?);
                    self.set(&[name, value])?;
                }
                b'u' => {
                    let pairs = self.since_mark()?;
                    self.set(&pairs)?;
                }
                0x85..=0x87 => {
                    let first = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(broken)?;
                    let items = self.stack.split_off(first);
                    self.push(Node::Items(items))?;
                }
                b'0' => drop(self.pop()?),
                b'K' => self.integer::<1>()?,
                b'M' => self.integer::<2>()?,
                b'J' => {
                    let number = i32::from_le_bytes(self.take()?);
                    self.push(Node::Integer(number.into()))?;
                }
                0x8a => self.long()?,
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?) as usize;
                    self.text(length)?;
                }
                b'T' => {
                    let length = u32::from_le_bytes(self.take()?) as usize;
                    self.text(length)?;
                }
                // `U` is how Python 2 wrote text.
                0x8c | b'U' => {
                    let [length] = self.take()?;
                    self.text(length.into())?;
                }
                b'q' => {
                    let [place] = self.take()?;
                    self.remember(place.into())?;
                }
                b'r' => {
                    let place = u32::from_le_bytes(self.take()?);
                    self.remember(place)?;
                }
                0x94 => {
                    let place = self.next_memo;
                    self.remember(place)?;
                }
                b'h' => {
                    let [place] = self.take()?;
                    self.recall(place.into())?;
                }
                b'j' => {
                    let place = u32::from_le_bytes(self.take()?);
                    self.recall(place)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Node::Function(function(&module, &name)?))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let function = match (&self.nodes[module as usize], &self.nodes[name as usize]) {
                        (Node::Text(module), Node::Text(name)) => function(module, name)?,
                        _ => return Err(broken()),
                    };
                    self.push(Node::Function(function))?;
                }
                b'Q' => self.storage()?,
                b'R' | 0x81 => self.call()?,
                b'b' => self.build()?,
                other => return Err(format!("opcode {other:#04x}, which no file of plain tensors has")),
            }
        }
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], String> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(broken)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.bytes(N)?.try_into().map_err(|_| broken())
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or_else(broken)?;
        let line = String::from_utf8_lossy(self.bytes(end)?).into_owned();
        self.bytes(1)?;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = self.bytes(length)?.to_vec();
        self.push(Node::Text(String::from_utf8(text).map_err(|_| broken())?))
    }

    fn integer<const N: usize>(&mut self) -> Result<(), String> {
        let bytes: [u8; N] = self.take()?;
        let number = bytes.iter().rev().fold(0, |number, &byte| number << 8 | i64::from(byte));
        self.push(Node::Integer(number))
    }

    /// An integer of at most eight bytes.
    fn long(&mut self) -> Result<(), String> {
        let [length] = self.take()?;
        let bytes = self.bytes(length.into())?;
        if bytes.len() > 8 {
            return Err(broken());
        }
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut word = [sign; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Integer(i64::from_le_bytes(word)))
    }

    fn push(&mut self, node: Node) -> Result<(), String> {
        if self.nodes.len() >= MOST {
            return Err("more values than tensors need".to_owned());
        }
        self.nodes.push(node);
        self.stack.push((self.nodes.len() - 1) as Id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(broken)
    }

    fn top(&mut self) -> Result<&mut Node, String> {
        let top = *self.stack.last().ok_or_else(broken)?;
        Ok(&mut self.nodes[top as usize])
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let is_mark = |id: &Id| matches!(self.nodes[*id as usize], Node::Mark);
        let mark = self.stack.iter().rposition(is_mark).ok_or_else(broken)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn extend(&mut self, added: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Node::Items(items) if items.len() + added.len() <= MOST => items.extend(added),
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn set(&mut self, pairs: &[Id]) -> Result<(), String> {
        match self.top()? {
            Node::Names(names) if pairs.len().is_multiple_of(2) && names.len() + pairs.len() <= MOST => {
                names.extend(pairs.chunks(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or_else(broken)?;
        self.memo.insert(place, top);
        self.next_memo = self.next_memo.max(place.saturating_add(1));
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), String> {
        let id = *self.memo.get(&place).ok_or_else(broken)?;
        if self.stack.len() >= MOST {
            return Err("more values than tensors need".to_owned());
        }
        self.stack.push(id);
        Ok(())
    }

    fn items(&self, id: Id) -> Result<&[Id], String> {
        match &self.nodes[id as usize] {
            Node::Items(items) => Ok(items),
            _ => Err(broken()),
        }
    }

    /// `("storage", its type, name, device, count)` becomes a storage; before version 1.6 a sixth value could make it a part of
    /// another storage.
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let items: Vec<&Node> = self.items(id)?.iter().map(|&id| &self.nodes[id as usize]).collect();
        let storage = match items[..] {
            [Node::Text(what), Node::Function(Function::Storage(dtype)), Node::Text(name), _, _]
            | [
                Node::Text(what),
                Node::Function(Function::Storage(dtype)),
                Node::Text(name),
                _,
                _,
                Node::Other,
            ] if what == "storage" => Node::Storage(*dtype, name.clone()),
            _ => return Err(broken()),
        };
        self.push(storage)
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Node::Function(function) = self.nodes[function as usize] else { return Err(broken()) };
        let arguments = self.items(arguments)?;
        match function {
            Function::OrderedDict | Function::Module => {
                let empty = arguments.is_empty();
                if empty { self.push(Node::Names(Vec::new())) } else { Err(broken()) }
            }
            Function::RebuildParameter => {
                let tensor = *arguments.first().ok_or_else(broken)?;
                self.stack.push(tensor);
                Ok(())
            }
            Function::RebuildTensor => {
                let tensor = self.tensor(arguments)?;
                self.push(Node::Tensor(tensor))
            }
            Function::Storage(_) => Err(broken()),
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Result<Stored, String> {
        let [storage, offset, shape, strides, ..] = *arguments else { return Err(broken()) };
        let Node::Storage(dtype, storage) = &self.nodes[storage as usize] else { return Err(broken()) };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let offset = self.size(offset)?;
        if shape.len() != strides.len() {
            return Err(broken());
        }
        Ok(Stored { dtype: *dtype, storage: storage.clone(), offset, shape, strides })
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        self.items(id)?.iter().map(|&id| self.size(id)).collect()
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.nodes[id as usize] {
            Node::Integer(size) => usize::try_from(size).map_err(|_| broken()),
            _ => Err(broken()),
        }
    }

    /// Attributes of a module, or of a dictionary (`_metadata`), whose own names stay.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let attributes = match &self.nodes[state as usize] {
            Node::Names(names) => names.clone(),
            Node::Other | Node::True | Node::Items(_) => Vec::new(),
            _ => return Err(broken()),
        };
        match self.top()? {
            Node::Names(names) if names.is_empty() => *names = attributes,
            Node::Names(_) => {}
            _ => return Err(broken()),
        }
        Ok(())
    }
}

fn broken() -> String {
    "a broken pickle".to_owned()
}

fn function(module: &str, name: &str) -> Result<Function, String> {
    Ok(match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Function::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Function::RebuildParameter,
        ("collections", "OrderedDict") => Function::OrderedDict,
        ("torch", "FloatStorage") => Function::Storage(Dtype::F32),
        ("torch", "HalfStorage") => Function::Storage(Dtype::F16),
        ("torch", "BFloat16Storage") => Function::Storage(Dtype::Bf16),
        ("torch", "DoubleStorage") => Function::Storage(Dtype::F64),
        ("torch", "LongStorage") => Function::Storage(Dtype::I64),
        ("torch", "IntStorage") => Function::Storage(Dtype::I32),
        ("torch", "ByteStorage") => Function::Storage(Dtype::U8),
        _ if module.starts_with("__torch__") => Function::Module,
        _ => return Err(format!("it asks for `{module}.{name}`, which is not run: only tensors are read")),
    })
}

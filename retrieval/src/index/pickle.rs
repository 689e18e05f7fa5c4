//! Pickles of tensors: an interpreter of the opcodes that `torch.save` writes for tensors, tuples and lists of them. A pickle
//! can name any function to be called; this one knows the two of a tensor and refuses all others.

use std::collections::HashMap;

use super::array::Kind;

/// A tensor: where its numbers are and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) kind: Kind,
    /// Name of the file of numbers.
    pub(super) storage: String,
    /// First number.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Value {
    Mark,
    Nothing,
    Integer(i64),
    Text(String),
    /// A tuple or list.
    Items(Vec<Value>),
    Function(Function),
    Storage(Kind, String),
    Tensor(Tensor),
}

#[derive(Clone, Copy, Debug)]
enum Function {
    RebuildTensor,
    OrderedDict,
    Storage(Kind),
}

/// Most values that a pickle of tensors can need; a hostile one can ask for many.
const MOST: usize = 1 << 12;
/// Most bytes of a pickle of tensors, whose numbers are in other files.
const MOST_BYTES: usize = 1 << 16;

/// The tensors of a pickle: one, or those of a tuple or list.
pub(super) fn tensors(pickle: &[u8]) -> Result<Vec<Tensor>, String> {
    if pickle.len() > MOST_BYTES {
        return Err("a longer pickle than tensors need".to_owned());
    }
    let mut machine = Machine { rest: pickle, stack: Vec::new(), memo: HashMap::new() };
    let value = machine.run()?;
    let one = |value| match value {
        Value::Tensor(tensor) => Ok(tensor),
        _ => Err("something else than tensors in it".to_owned()),
    };
    match value {
        Value::Items(items) => items.into_iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, String> {
        loop {
            let [code] = self.take()?;
            match code {
                0x80 => drop(self.take::<1>()?), // protocol
                b'.' => return self.pop(),
                b'(' => self.push(Value::Mark)?,
                b'N' | b'}' => self.push(Value::Nothing)?,
                b')' | b']' => self.push(Value::Items(Vec::new()))?,
                b't' | b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::Items(items))?;
                }
                b'e' => {
                    let added = self.since_mark()?;
                    let Value::Items(mut items) = self.pop()? else { return Err(broken()) };
                    items.extend(added);
                    self.push(Value::Items(items))?;
                }
                0x85..=0x87 => {
                    let first = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(broken)?;
                    let items = self.stack.split_off(first);
                    self.push(Value::Items(items))?;
                }
                0x88 | 0x89 => self.push(Value::Integer(i64::from(code == 0x88)))?,
                b'K' => {
                    let [byte] = self.take()?;
                    self.push(Value::Integer(byte.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.take()?);
                    self.push(Value::Integer(number.into()))?;
                }
                b'J' => {
                    let number = i32::from_le_bytes(self.take()?);
                    self.push(Value::Integer(number.into()))?;
                }
                0x8a => self.long()?,
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?) as usize;
                    let text = self.bytes(length)?.to_vec();
                    self.push(Value::Text(String::from_utf8(text).map_err(|_| broken())?))?;
                }
                b'q' => {
                    let [place] = self.take()?;
                    self.remember(place.into())?;
                }
                b'r' => {
                    let place = u32::from_le_bytes(self.take()?);
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
                    self.push(Value::Function(function(&module, &name)?))?;
                }
                b'Q' => self.storage()?,
                b'R' => self.call()?,
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

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() + self.memo.len() >= MOST {
            return Err("more values than tensors need".to_owned());
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(broken)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark)).ok_or_else(broken)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn remember(&mut self, place: u32) -> Result<(), String> {
        let value = self.stack.last().ok_or_else(broken)?.clone();
        // A tuple of tuples could double with every memo; tensors and their shapes are small.
        if let Value::Items(items) = &value
            && items.len() > 64
        {
            return Err("a longer tuple than a tensor has".to_owned());
        }
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), String> {
        let value = self.memo.get(&place).ok_or_else(broken)?.clone();
        if let Value::Items(items) = &value
            && items.iter().any(|item| matches!(item, Value::Items(_)))
        {
            return Err("a tuple of tuples twice, which no file of plain tensors has".to_owned());
        }
        self.push(value)
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
        self.push(Value::Integer(i64::from_le_bytes(word)))
    }

    /// `("storage", its type, name, device, count)` becomes a storage.
    fn storage(&mut self) -> Result<(), String> {
        let Value::Items(items) = self.pop()? else { return Err(broken()) };
        match &items[..] {
            [Value::Text(what), Value::Function(Function::Storage(kind)), Value::Text(name), ..]
                if what == "storage" =>
            {
                self.push(Value::Storage(*kind, name.clone()))
            }
            _ => Err(broken()),
        }
    }

    fn call(&mut self) -> Result<(), String> {
        let Value::Items(arguments) = self.pop()? else { return Err(broken()) };
        match (self.pop()?, &arguments[..]) {
            (Value::Function(Function::OrderedDict), _) => self.push(Value::Nothing),
            (
                Value::Function(Function::RebuildTensor),
                [
                    Value::Storage(kind, name),
                    Value::Integer(offset),
                    Value::Items(shape),
                    Value::Items(strides),
                    ..,
                ],
            ) => {
                let (shape, strides) = (sizes(shape)?, sizes(strides)?);
                if !is_contiguous(&shape, &strides) {
                    return Err("a tensor that is not contiguous; save `tensor.contiguous()`".to_owned());
                }
                let offset = usize::try_from(*offset).map_err(|_| broken())?;
                self.push(Value::Tensor(Tensor { kind: *kind, storage: name.clone(), offset, shape }))
            }
            _ => Err(broken()),
        }
    }
}

fn broken() -> String {
    "a broken pickle".to_owned()
}

fn function(module: &str, name: &str) -> Result<Function, String> {
    Ok(match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Function::RebuildTensor,
        ("collections", "OrderedDict") => Function::OrderedDict,
        ("torch", "ByteStorage") => Function::Storage(Kind::U8),
        ("torch", "IntStorage") => Function::Storage(Kind::I32),
        ("torch", "LongStorage") => Function::Storage(Kind::I64),
        ("torch", "HalfStorage") => Function::Storage(Kind::F16),
        ("torch", "FloatStorage") => Function::Storage(Kind::F32),
        _ => return Err(format!("it asks for `{module}.{name}`, which is not run: only tensors are read")),
    })
}

fn sizes(values: &[Value]) -> Result<Vec<usize>, String> {
    let size = |value: &Value| match value {
        Value::Integer(size) => usize::try_from(*size).map_err(|_| broken()),
        _ => Err(broken()),
    };
    values.iter().map(size).collect()
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1_usize;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected = expected.saturating_mul(size.max(1));
            fits
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_other_than_a_tensors_are_refused() {
        let problem = tensors(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR.").unwrap_err();
        assert_eq!(problem, "it asks for `os.system`, which is not run: only tensors are read");
    }

    #[test]
    fn cut_and_hostile_pickles_are_refused() {
        for pickle in
            [&b""[..], b"\x80", b"X\xff\xff\xff\xff", b"t.", b"h\x05.", b"N.", b"R", b"\x87", b"\x8a\xff"]
        {
            assert!(tensors(pickle).is_err(), "{pickle:?}");
        }
        // Tuples of a tuple twice, over and over: 2^64 values if they were made.
        let mut bomb = b"\x80\x02)q\x00".to_vec();
        for place in 0..64 {
            bomb.extend([b'h', place, b'h', place, 0x86, b'q', place + 1]);
        }
        assert!(tensors(&bomb).is_err());
    }

    #[test]
    fn contiguous_means_that_rows_follow_each_other() {
        assert!(
            is_contiguous(&[2, 3], &[3, 1]) && is_contiguous(&[5, 1], &[1, 7]) && is_contiguous(&[], &[])
        );
        assert!(!is_contiguous(&[2, 3], &[1, 2]) && !is_contiguous(&[2], &[1, 1]));
    }
}

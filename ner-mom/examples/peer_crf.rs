//! Our side of the peer case `crf`: loss and gradient, timed; writes the inputs.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::crf::Crf;
use common::nn::checkpoint::named;
use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn main() -> Result<()> {
    let work = PathBuf::from(std::env::args().nth(1).context("usage: peer_crf WORK")?);
    tch::set_num_threads(1);
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let crf = Crf::new(&store.root(), 9);
    let mut emissions = Tensor::randn([32, 40, 9], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let gold: Vec<Vec<usize>> = (0..32).map(|row| (0..40).map(|t| (row * 7 + t * 5) % 9).collect()).collect();
    let list = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().flatten(0, -1));
    let mut inputs = json!({"emissions": list(&emissions)?, "gold": gold});
    for (name, tensor) in named(&store) {
        inputs[name] = json!(list(&tensor)?);
    }
    std::fs::write(work.join("crf.json"), inputs.to_string())?;
    let mut times = Vec::new();
    let mut loss = 0.0;
    for _ in 0..30 {
        emissions.zero_grad();
        named(&store).iter_mut().for_each(|(_, tensor)| tensor.zero_grad());
        let started = Instant::now();
        let node = crf.loss(&emissions, &gold);
        node.backward();
        times.push(started.elapsed().as_secs_f64());
        loss = node.double_value(&[]);
    }
    times.sort_by(f64::total_cmp);
    let size = |tensor: &Tensor| tensor.grad().abs().sum(Kind::Double).double_value(&[]);
    let values = [loss, size(&emissions), size(&store.variables()["transitions"])];
    println!("{}", json!({"seconds": times[15], "items": 32 * 40, "values": values}));
    Ok(())
}

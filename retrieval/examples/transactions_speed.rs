//! Times of the parts that users wait for, on one core: `import ROWS` reads a CSV file and appends it to a store, `search
//! VECTORS WIDTH` asks for the 20 nearest of that many vectors and checks them against a plain search.
#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use common::seed;
use rand::Rng;
use retrieval::transactions::ledger::{Columns, Format, read};
use retrieval::transactions::neighbours::Neighbours;
use retrieval::transactions::record::Template;
use retrieval::transactions::store::Store;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| -> Result<usize> {
        arguments
            .get(place)
            .context("usage: transactions_speed import ROWS | search VECTORS WIDTH")?
            .parse()
            .context("a number")
    };
    match arguments.first().map(String::as_str) {
        Some("import") => import(number(1)?),
        Some("search") => search(number(1)?, number(2)?),
        _ => bail!("usage: transactions_speed import ROWS | search VECTORS WIDTH"),
    }
}

/// A ledger with as many distinct strings as the council's has: one in three rows.
fn import(n: usize) -> Result<()> {
    let mut random = seed::rng(1, "rows", 0);
    let mut csv = String::from("id,date,merchant,centre,amount,vat,code\n");
    for i in 0..n {
        let string = random.random_range(0..n / 3);
        let (day, amount) = (random.random_range(1..28), random.random_range(1..100_000));
        csv += &format!(
            "T{i},2016-{:02}-{day:02},merchant number {string},centre {},{}.{:02},VR,K{}\n",
            i * 12 / n + 1,
            string % 1300,
            amount / 100,
            amount % 100,
            string % 141
        );
    }
    let named = |column: &str| Some(column.to_owned());
    let fields = [("merchant", "merchant"), ("location", "centre"), ("amount", "amount"), ("vat", "vat")];
    let columns = Columns {
        fields: fields.map(|(field, column)| (field.to_owned(), column.to_owned())).into(),
        account: named("code"),
        date: named("date"),
        id: named("id"),
        ..Columns::default()
    };
    let template =
        Template { fields: fields.map(|(field, _)| field.to_owned()).into(), ..Template::standard() };
    let folder = tempfile::tempdir()?;
    let mut store = Store::open(&folder.path().join("ledger.sqlite"), &template)?;
    let started = Instant::now();
    let ledger = read(csv.as_bytes(), "rows.csv", &columns, &Format::auto(), &template, "company")?;
    let read_s = started.elapsed().as_secs_f64();
    let imported = store.import("rows.csv", csv.as_bytes(), &template, &ledger.transactions)?;
    let all_s = started.elapsed().as_secs_f64();
    ensure!(imported.added == n as u64 && ledger.bad.is_empty(), "{imported:?}");
    println!(
        "{n} rows: read in {read_s:.2} s, read and stored in {all_s:.2} s, {:.0} rows per second",
        n as f64 / all_s
    );
    Ok(())
}

fn search(n: usize, width: usize) -> Result<()> {
    const QUERIES: usize = 200;
    let mut random = seed::rng(1, "vectors", 0);
    let centres: Vec<f32> = (0..2000 * width).map(|_| random.random_range(-1.0..1.0)).collect();
    let mut around = |n: usize| -> Vec<f32> {
        let mut values = Vec::with_capacity(n * width);
        for _ in 0..n {
            let centre = random.random_range(0..2000) * width;
            let row: Vec<f32> = centres[centre..centre + width]
                .iter()
                .map(|value| value + random.random_range(-0.5..0.5))
                .collect();
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            values.extend(row.iter().map(|value| value / norm));
        }
        values
    };
    let (values, queries) = (around(n), around(QUERIES));
    let index = Neighbours::new(width, values.clone())?;
    let (mut times, mut found, mut asked) = (Vec::new(), 0, 0);
    for (i, query) in queries.chunks_exact(width).enumerate() {
        let started = Instant::now();
        let near = index.search(query, 20)?;
        times.push(1e3 * started.elapsed().as_secs_f64());
        if i < 20 {
            let product =
                |row: &[f32]| row.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let mut all: Vec<(usize, f64)> = values.chunks_exact(width).map(product).enumerate().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            found +=
                all[..20].iter().filter(|(row, _)| near.iter().any(|near| near.row as usize == *row)).count();
            asked += 20;
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{n} vectors of width {width}: median {:.2} ms, 95 % within {:.2} ms, recall@20 {:.3}",
        at(0.5),
        at(0.95),
        found as f64 / asked as f64
    );
    Ok(())
}

//! Time of one mask.
use frequency_mask::mask::*;
fn main() {
    let image = image::RgbImage::from_fn(224, 224, |x, y| image::Rgb([(x * 7 % 251) as u8, (y * 5 % 241) as u8, ((x + y) * 3 % 239) as u8]));
    for (name, kind) in [("all", FrequencyMask::compat(Band::All)), ("low", FrequencyMask::compat(Band::Low)), ("mid", FrequencyMask::compat(Band::Mid)), ("high", FrequencyMask::compat(Band::High)), ("clean all", FrequencyMask::clean(Band::All)), ("clean low", FrequencyMask::clean(Band::Low)), ("clean mid", FrequencyMask::clean(Band::Mid)), ("clean high", FrequencyMask::clean(Band::High))] {
        let masker = Masker::new(Mask::new(Kind::Frequency(kind), 0.15).unwrap());
        masker.apply(&image, 0, 0, 0);
        let mut best = f64::INFINITY;
        for round in 0..20 {
            let started = cpu_time::ThreadTime::now();
            for i in 0..50 { std::hint::black_box(masker.apply(&image, 0, i, round)); }
            best = best.min(started.elapsed().as_secs_f64() / 50.0);
        }
        println!("{name} {:.3} ms", best * 1e3);
    }
}

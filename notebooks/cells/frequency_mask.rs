//! Frequency masking: the mask of the official code is not the mask of its name.
//! :dep common = { path = "../common", default-features = false }
//! :dep frequency-mask = { path = "../frequency-mask" }
//! :dep image = "=0.25.10"
//! :dep notebooks = { path = ".", default-features = false }

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # Frequency masking for universal deepfake detection
    //
    // Doloriel, Cheung, *Frequency Masking for Universal Deepfake Detection*, ICASSP 2024.
    //
    // Generators leave traces in the spectrum. A detector that learns the traces of *one* generator fails on the next. The paper's remedy is a
    // masked training: a random share of the frequencies of every training image is set to zero,
    //
    // $$ \tilde x = \mathcal F^{-1}\big(M \odot \mathcal F(x)\big), \qquad M_{uv} \in \{0, 1\}, $$
    //
    // so that the detector cannot rest on any single one. A photograph and its spectrum (COCO 297343, CC BY 2.0,
    // [flickr](http://farm5.staticflickr.com/4045/4693556483_48778c7494_z.jpg)):
    // %%
    use common::figure::{Figure, Picture};
    use frequency_mask::mask::{Band, FrequencyMask, Kind, Mask, Masker};
    use frequency_mask::{augment, data, spectrum};
    let folder = notebooks::data_set("coco-cc-160")?.folder;
    let photograph = data::read_picture(&folder.join("JPEGImages/000000297343.jpg"))?;
    let crop = augment::cropped(&photograph, 66, 166, 160);
    fn colour(title: &str, image: &image::RgbImage) -> Picture {
        let (width, height) = image.dimensions();
        Picture {
            title: title.to_owned(),
            width: width as usize,
            height: height as usize,
            pixels: image.as_raw().clone(),
        }
    }
    notebooks::show(&Figure::Pictures {
        title: "A photograph, and the logarithm of its spectrum with the mean in its middle".into(),
        columns: 2,
        pictures: vec![
            colour("photograph", &crop),
            Picture::grey("spectrum", &spectrum::of_picture(&crop), [1.0, 6.0]),
        ],
    })?;
    // %% [markdown]
    // ## Two masks of one name
    //
    // The official code indexes a spectrum that was never shifted, takes the real part of the inverse and casts to bytes with wrap-around.
    // So its "high" band is the low one without the mean, most masked bins are only halved (their mirror image is not masked), and pixels
    // that fall below 0 come back at 255. `compat` is that code to the bit, `clean` is what the words say. White is kept, grey halved,
    // black removed.
    // %%
    let mut pictures = Vec::new();
    for band in [Band::Low, Band::High, Band::All] {
        for (name, mask) in [("compat", FrequencyMask::compat(band)), ("clean", FrequencyMask::clean(band))] {
            let masker = Masker::new(Mask::new(Kind::Frequency(mask), 0.15)?);
            let kept = masker.picture(&crop, 1, 0, 0).expect("a mask of frequencies");
            let title = format!("{name}, {}", band.name());
            pictures.push(Picture {
                title: format!("{title}: mask"),
                width: kept.width() as usize,
                height: kept.height() as usize,
                pixels: kept.into_raw(),
            });
            pictures.push(colour(&format!("{title}: image"), &masker.apply(&crop, 1, 0, 0)));
        }
    }
    notebooks::show(&Figure::Pictures { title: "15 % of the bins of a band".into(), columns: 4, pictures })?;
    // %% [markdown]
    // ## What a mask takes away
    //
    // How many bins does `compat` halve, how many does it remove? And how far are the images from the photograph?
    // %%
    let mut rows = Vec::new();
    for (name, mask) in
        [("compat", FrequencyMask::compat(Band::All)), ("clean", FrequencyMask::clean(Band::All))]
    {
        let masker = Masker::new(Mask::new(Kind::Frequency(mask), 0.15)?);
        let kept = masker.picture(&crop, 1, 0, 0).expect("a mask of frequencies").into_raw();
        let share = |low: u8, high: u8| {
            let n = kept.iter().filter(|value| (low..=high).contains(*value)).count();
            format!("{:.1} %", 100.0 * n as f64 / kept.len() as f64)
        };
        let masked = masker.apply(&crop, 1, 0, 0);
        let error: f64 = masked.iter().zip(crop.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        rows.push([
            name.to_owned(),
            share(0, 0),
            share(1, 254),
            format!("{:.1}", error / masked.as_raw().len() as f64),
        ]);
    }
    notebooks::table(
        &["mask, 15 % of the whole spectrum", "removed", "halved", "mean error of a byte"],
        &rows,
    );
    // %% [markdown]
    // ## What came out
    //
    // Detectors were trained on the fakes of one small generator and tested on seven others. Two confounds were taken out first: real and fake
    // crops share their subjects, their JPEG history and their phase against the generator's grid.
    // %%
    let report = notebooks::report("frequency-mask")?;
    notebooks::claims(&report);
    Ok(())
}

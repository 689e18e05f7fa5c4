//! Click supervision: a detector from one click per object.
//! :dep click-mil = { path = "../click-mil", default-features = false }
//! :dep common = { path = "../common", default-features = false }
//! :dep image = "=0.25.10"
//! :dep notebooks = { path = ".", default-features = false }
//! :dep rand = "0.9"
//! :dep rand_chacha = "0.9"

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    // %% [markdown]
    // # One click per object
    //
    // Papadopoulos, Uijlings, Keller, Ferrari, *Training object class detectors with click supervision*, CVPR 2017.
    //
    // Drawing a box takes about 35 seconds, a click on the centre of an object about two. The paper trains detectors from clicks:
    // proposals first, then multiple-instance learning picks in each image the proposal that looks like the class **and** has its centre near
    // the click,
    //
    // $$ S(p) = S_{\mathrm{ap}}(p) \cdot \exp\Big(-\frac{\lVert c_p - k \rVert^2}{2\sigma_{bc}^2}\Big). $$
    //
    // The picture: COCO 377575, CC BY 2.0 ([flickr](http://farm4.staticflickr.com/3557/3937557668_c8b472124b_z.jpg)). EdgeBoxes scores
    // boxes by the contours that they hold whole; the 30 best of 2,000:
    // %%
    use click_mil::click_score::centre_score;
    use click_mil::draw;
    use click_mil::edge_boxes::{self, Config};
    use click_mil::edges::EdgeMap;
    use click_mil::formats::coco;
    use click_mil::geometry::Point;
    use click_mil::simulate::ErrorModel;
    use common::figure::Figure;
    use image::Rgb;
    use rand::SeedableRng;
    let folder = notebooks::data_set("coco-cc-160")?.folder;
    let dataset = coco::read(&folder.join("instances.json"), &folder.join("JPEGImages"))?.dataset;
    let picture = dataset.pictures[dataset.picture("377575").expect("an image of the set")].clone();
    let photograph = image::open(&picture.file)?.to_rgb8();
    let edges = EdgeMap::of_image(&photograph)?;
    let config = Config { max_boxes: 2000, ..Config::authors() };
    let proposals = edge_boxes::propose(&edges, &config)?;
    {
        let mut drawn = photograph.clone();
        proposals
            .iter()
            .take(30)
            .for_each(|proposal| draw::rectangle(&mut drawn, &proposal.bbox, Rgb([255, 200, 0])));
        println!("{} proposals", proposals.len());
        notebooks::show_picture(&drawn, 1)?;
    }
    // %% [markdown]
    // ## A click, and what it says
    //
    // Annotators miss the centre by about a tenth of an object's size. Such clicks, drawn from an error model, and the proposal with the highest
    // product of contour score and centre score: green is the true box, blue what the click alone picks.
    // %%
    let objects: Vec<_> = picture.objects.iter().filter(|object| object.counts()).cloned().collect();
    {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut drawn = photograph.clone();
        for object in &objects {
            let [x, y] = ErrorModel::usual().click(object, picture.width, picture.height, &mut rng);
            let click = Point { x, y };
            let score = |p: &edge_boxes::Proposal| f64::from(p.score) * centre_score(&p.bbox, &click, 25.0);
            let best = proposals.iter().max_by(|a, b| score(a).total_cmp(&score(b))).expect("a proposal");
            draw::rectangle(&mut drawn, &object.bbox, Rgb([0, 200, 0]));
            draw::rectangle(&mut drawn, &best.bbox, Rgb([40, 90, 255]));
            draw::cross(&mut drawn, &click, Rgb([255, 0, 0]));
            println!(
                "{}: IoU of the picked box {:.2}",
                dataset.classes[object.class],
                best.bbox.iou(&object.bbox)
            );
        }
        notebooks::show_picture(&drawn, 1)?;
    }
    // %% [markdown]
    // ## How much does the error of a click matter?
    //
    // Over all objects of 40 of the pictures that are larger than 64 pixels on a side: the mean overlap of the picked box with the true one as the
    // click gets worse, without any appearance model.
    // %%
    let mut line = Vec::new();
    {
        let mut boxes = Vec::new();
        for picture in dataset.pictures.iter().take(40) {
            let photograph = image::open(&picture.file)?.to_rgb8();
            boxes.push((picture, edge_boxes::propose(&EdgeMap::of_image(&photograph)?, &config)?));
        }
        for share in [0.0, 0.03, 0.06, 0.09, 0.15, 0.25] {
            let model = ErrorModel { relative: share, ..ErrorModel::usual() };
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
            let mut overlaps = Vec::new();
            for (picture, proposals) in &boxes {
                for object in picture
                    .objects
                    .iter()
                    .filter(|object| object.counts() && object.bbox.area() > 64.0 * 64.0)
                {
                    let [x, y] = model.click(object, picture.width, picture.height, &mut rng);
                    let click = Point { x, y };
                    let score =
                        |p: &edge_boxes::Proposal| f64::from(p.score) * centre_score(&p.bbox, &click, 25.0);
                    let best = proposals.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
                    overlaps.extend(best.map(|best| best.bbox.iou(&object.bbox)));
                }
            }
            line.push([share, overlaps.iter().sum::<f64>() / overlaps.len() as f64]);
        }
    }
    notebooks::show(&Figure::Curves {
        title: "The click alone, without appearance".into(),
        x: "error of a click as a share of the object's side".into(),
        y: "mean IoU of the picked box".into(),
        groups: vec![("40 pictures".into(), vec![line])],
    })?;
    // %% [markdown]
    // ## What came out
    //
    // Windows chosen by multi-fold MIL with and without clicks on three small sets, and detectors trained on them, against drawn boxes.
    // %%
    let report = notebooks::report("click-mil")?;
    notebooks::claims(&report);
    Ok(())
}

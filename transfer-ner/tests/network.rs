//! The network: padding and neighbours change nothing, perturbed steps have the gradients of their formula.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use common::nn::checkpoint::named;
use common::testing::torch_rng;
use tch::{Kind, Tensor};
use toy::{model, source, target};
use transfer_ner::adversary::{Adversarial, Discriminator, perturbation};
use transfer_ner::batch::Resource;
use transfer_ner::config::{Attention, Config, Method, NetworkConfig};
use transfer_ner::model::Model;
use transfer_ner::model::network::Embedded;
use transfer_ner::model::places::Places;
use transfer_ner::step::gradients;

fn without_dropout(method: Method) -> Config {
    let config = Config::small(method);
    let network = NetworkConfig { dropout_input: 0.0, dropout_output: 0.0, ..config.network };
    Config { network, ..config }
}

/// In double precision, for finite differences.
fn double(config: Config) -> Model {
    let mut model = model(config);
    model.store.double();
    model
}

#[test]
fn a_sentence_is_tagged_the_same_alone_and_in_a_batch() {
    let _rng = torch_rng(0);
    let own = |method| Config::small(method);
    let attentive = |attention| {
        let config = Config::small(Method::DatnetF);
        Config { network: NetworkConfig { attention, ..config.network }, ..config }
    };
    let configs = [
        own(Method::DatnetP),
        own(Method::Adapt),
        attentive(Attention::SelfTanh),
        attentive(Attention::MultiHead(4)),
    ];
    for config in configs {
        let model = model(config);
        let data = model.prepare(&target(), Resource::Target, true).unwrap();
        let emissions = |rows: &[usize]| {
            let batch = data.batch(rows, None, model.store.device());
            let embedded = model.network.embed(&batch);
            (model.network.states(&embedded, &batch, false).1, batch.lengths.clone())
        };
        let (together, lengths) = emissions(&[0, 1, 2, 3]);
        for (row, &length) in lengths.iter().enumerate() {
            let (alone, _) = emissions(&[row]);
            let own = together.get(row as i64).narrow(0, 0, length as i64);
            let difference = common::testing::max_difference(&own, &alone.get(0));
            // f32 in another order of sums.
            assert!(difference < 1e-5, "{:?}: {difference}", model.config.network.attention);
        }
    }
}

#[test]
fn words_of_one_character_do_not_depend_on_their_neighbours() {
    let _rng = torch_rng(0);
    let model = model(Config::small(Method::Base));
    let data = |words: &[&str]| {
        let sentences: Vec<_> = words
            .iter()
            .map(|word| common::formats::Sentence { words: vec![(*word).to_owned()], ..Default::default() })
            .collect();
        let data = model.prepare(&sentences, Resource::Target, false).unwrap();
        let rows: Vec<usize> = (0..words.len()).collect();
        let batch = data.batch(&rows, None, model.store.device());
        model.network.states(&model.network.embed(&batch), &batch, false).1
    };
    let difference =
        common::testing::max_difference(&data(&["a"]).get(0), &data(&["a", "incomprehensible"]).get(0));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn characters_give_the_same_once_per_word_and_once_per_place() {
    let _rng = torch_rng(0);
    let model = double(without_dropout(Method::DatnetP));
    let data = model.prepare(&source(), Resource::Source, true).unwrap();
    let batch = data.batch(&[0, 1, 2], None, model.store.device());
    let of = |embedded: Embedded| model.network.losses(&embedded, &batch, Resource::Source, true, true);
    let places = Places::<f64>::new(model.network.characters().unwrap(), &batch);
    let per_place = Embedded::of_places(model.network.word_vectors(&batch), Some(places.maxima(None).values));
    let (once, places) = (of(model.network.embed(&batch)), of(per_place));
    assert!(common::testing::max_difference(&once.tagger, &places.tagger) < 1e-12);
    let resource =
        |losses: &transfer_ner::model::network::Losses| losses.resource.as_ref().unwrap().shallow_clone();
    assert!(common::testing::max_difference(&resource(&once), &resource(&places)) < 1e-12);
}

/// Gradients of all parameters after a step.
fn step(model: &Model, adversarial: Adversarial, discriminate: bool) -> (f64, Vec<(String, Tensor)>) {
    for (_, variable) in named(&model.store) {
        let mut gradient = variable.grad();
        if gradient.defined() {
            let _ = gradient.zero_();
        }
    }
    let data = model.prepare(&source(), Resource::Source, true).unwrap();
    let batch = data.batch(&[0, 1, 2], None, model.store.device());
    let value = gradients(&model.network, &batch, Resource::Source, discriminate, adversarial).unwrap();
    let gradients = named(&model.store).into_iter().filter_map(|(name, variable)| {
        let gradient = variable.grad();
        gradient.defined().then(|| (name, gradient.copy()))
    });
    (value, gradients.collect())
}

#[test]
fn gradients_of_a_perturbed_step_are_those_of_its_formula() {
    let _rng = torch_rng(0);
    for method in [Method::DatnetF, Method::DatnetP] {
        let model = double(without_dropout(method));
        let data = model.prepare(&source(), Resource::Source, true).unwrap();
        let batch = data.batch(&[0, 1, 2], None, model.store.device());
        // η from autograd on the plain loss, held constant below.
        let characters = model.network.characters().unwrap();
        let places = Places::<f64>::new(characters, &batch);
        let first = places.maxima(None);
        let words = model.network.word_vectors(&batch).detach().set_requires_grad(true);
        let maxima = first.values.copy().set_requires_grad(true);
        let leaves = Embedded::of_places(words.shallow_clone(), Some(maxima.shallow_clone()));
        model.network.losses(&leaves, &batch, Resource::Source, false, true).tagger.backward();
        let eta_words = perturbation(&words.grad(), 0.5);
        let by_characters = places.by_characters(&first, &maxima.grad());
        let shape = [batch.keep.size()[0], batch.keep.size()[1], places.width() as i64, -1];
        let eta = perturbation(&by_characters.view(shape), 0.5).flatten(0, 1);
        let total = || {
            let losses =
                model.network.losses(&model.network.embed(&batch), &batch, Resource::Source, false, true);
            let maxima = Places::<f64>::new(characters, &batch).maxima(Some(&eta)).values;
            let moved = Embedded::of_places(model.network.word_vectors(&batch) + &eta_words, Some(maxima));
            let second = model.network.losses(&moved, &batch, Resource::Source, false, true);
            losses.tagger + second.tagger
        };
        let (value, gradients) = step(&model, Adversarial::Sentence(0.5), false);
        assert!((value - total().double_value(&[])).abs() < 1e-10);
        let _guard = tch::no_grad_guard();
        for (name, gradient) in gradients {
            let mut flat = model.store.variables().remove(&name).unwrap().view(-1);
            let place = flat.numel() as i64 / 2;
            let mut entry = flat.narrow(0, place, 1);
            let old = entry.double_value(&[0]);
            let mut at = |delta: f64| {
                let _ = entry.fill_(old + delta);
                total().double_value(&[])
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            at(0.0);
            let analytic = gradient.view(-1).double_value(&[place]);
            assert!(
                (numeric - analytic).abs() < 1e-6 * (1.0 + numeric.abs()),
                "{name}: {analytic} {numeric}"
            );
            let _ = &mut flat;
        }
    }
}

#[test]
fn the_encoder_is_pushed_against_the_discriminator() {
    let _rng = torch_rng(0);
    let config = without_dropout(Method::DatnetF);
    let with = |reverse: f64| {
        let config = Config {
            reverse,
            discriminator: Discriminator::Plain,
            adversarial: Adversarial::None,
            ..config.clone()
        };
        double(config)
    };
    let gradient_of = |reverse: f64, discriminate: bool, name: &str| {
        let (_, gradients) = step(&with(reverse), Adversarial::None, discriminate);
        gradients.into_iter().find(|(known, _)| known == name).unwrap().1
    };
    let encoder = "shared.lstm.weight_ih_l0";
    let tagger = gradient_of(0.7, false, encoder);
    let reversed = gradient_of(0.7, true, encoder) - &tagger;
    let twice = gradient_of(1.4, true, encoder) - &tagger;
    assert!(common::testing::max_difference(&(&reversed * 2.0), &twice) < 1e-12);
    assert!(reversed.abs().max().double_value(&[]) > 1e-9);
    let own = "discriminator.output.weight";
    let unchanged = gradient_of(0.7, true, own) - gradient_of(1.4, true, own);
    assert!(unchanged.abs().max().double_value(&[]) < 1e-15);
}

#[test]
fn a_discriminator_changes_no_perturbation() {
    let _rng = torch_rng(0);
    let model = double(without_dropout(Method::DatnetF));
    let (without, _) = step(&model, Adversarial::Sentence(1.0), false);
    let (with, _) = step(&model, Adversarial::Sentence(1.0), true);
    let (plain, _) = step(&model, Adversarial::None, true);
    let (tagger, _) = step(&model, Adversarial::None, false);
    // L_CRF + L_CRF' + l_GRAD: the discriminator adds its loss and nothing else.
    assert!((with - without - (plain - tagger)).abs() < 1e-10);
}

/// The definition: convolve, cut windows that end beyond max(length, 4), take the maximum; `[words, filters]`.
fn convolved(weights: &[Tensor], embedded: &Tensor, lengths: &[i64]) -> Tensor {
    let words = lengths.iter().enumerate().map(|(row, &length)| {
        let own = embedded.get(row as i64).narrow(0, 0, length.max(4)).tr().unsqueeze(0);
        let of_width = |weight: &Tensor| {
            own.conv1d(weight, None::<Tensor>, [1], [0], [1], 1).amax([2], false).squeeze_dim(0)
        };
        Tensor::cat(&weights.iter().map(of_width).collect::<Vec<_>>(), 0)
    });
    Tensor::stack(&words.collect::<Vec<_>>(), 0)
}

#[test]
fn maxima_and_their_gradients_are_those_of_a_plain_convolution() {
    let _rng = torch_rng(3);
    let model = double(without_dropout(Method::DatnetF));
    let data = model.prepare(&source(), Resource::Source, true).unwrap();
    let batch = data.batch(&[0, 1, 2], None, model.store.device());
    let characters = model.network.characters().unwrap();
    let places = Places::<f64>::new(characters, &batch);
    let padded = &batch.padded;
    let width = places.width() as i64;
    let real = batch.keep.flatten(0, 1);
    let ids = padded.characters.index_select(0, &padded.surface) * real.unsqueeze(-1);
    let ids = ids.constant_pad_nd([0, width - ids.size()[1]]);
    let lengths: Vec<i64> =
        Vec::try_from(ids.not_equal(0).sum_dim_intlist([1].as_slice(), false, Kind::Int64)).unwrap();
    let some = real.to_kind(Kind::Double).unsqueeze(-1);
    let inside = ids.not_equal(0).unsqueeze(-1).to_kind(Kind::Double);
    let weights: Vec<Tensor> =
        characters.filters().map(|(_, weight)| weight.detach().copy().set_requires_grad(true)).collect();
    let table = characters.embedding().detach().copy().set_requires_grad(true);
    let seen = || Tensor::embedding(&table, &ids, -1, false, false) * &inside;
    let once = characters.maxima(&padded.characters).index_select(0, &padded.surface) * &some;
    let first = places.maxima(None);
    let close = |a: &Tensor, b: &Tensor| common::testing::max_difference(a, b) < 1e-12;
    assert!(close(&first.values, &once));
    let leaf = seen().detach().set_requires_grad(true);
    let plain = convolved(&weights, &leaf, &lengths) * &some;
    assert!(close(&first.values, &plain));

    let towards = Tensor::randn_like(&plain) * &some;
    (&plain * &towards).sum(Kind::Double).backward();
    assert!(close(&places.by_characters(&first, &towards), &(leaf.grad() * &inside)));

    let eta = Tensor::randn_like(&leaf) * &inside;
    let second = places.maxima(Some(&eta));
    let moved = convolved(&weights, &(seen() + &eta), &lengths) * &some;
    assert!(close(&second.values, &moved));
    let also = Tensor::randn_like(&plain) * &some;
    weights.iter().for_each(|weight| drop(weight.grad().zero_()));
    let plain = convolved(&weights, &seen(), &lengths) * &some;
    ((plain * &towards).sum(Kind::Double) + (moved * &also).sum(Kind::Double)).backward();
    let passes = [(&first, &towards, None), (&second, &also, Some(&eta))];
    places.backward(&passes).unwrap().backward();
    assert!(close(&characters.embedding().grad(), &table.grad()));
    for ((_, weight), plain) in characters.filters().zip(&weights) {
        assert!(close(&weight.grad(), &plain.grad()));
    }
}

#[test]
fn without_a_discriminator_the_total_gradient_is_the_taggers() {
    let _rng = torch_rng(0);
    let model = double(without_dropout(Method::DatnetF));
    let (tagger, one) = step(&model, Adversarial::Sentence(1.0), false);
    let (total, two) = step(&model, Adversarial::Total(1.0), false);
    assert_eq!(tagger, total);
    for ((name, a), (_, b)) in one.iter().zip(&two) {
        assert_eq!(a, b, "{name}");
    }
    let (apart, _) = step(&model, Adversarial::Sentence(1.0), true);
    let (together, _) = step(&model, Adversarial::Total(1.0), true);
    assert_ne!(apart, together);
}

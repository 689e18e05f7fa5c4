//! Convolutions and pools one after the other: AlexNet and VGG-16 without their last pool.

use tch::Tensor;
use tch::nn::Path;

use super::conv::{Conv, Shape};

/// A step of the network.
#[derive(Debug)]
enum Step {
    /// With a rectifier behind it.
    Conv(Conv),
    /// Maximum over squares of a side, step 2.
    Pool(i64),
}

/// A network without branches.
#[derive(Debug)]
pub struct Plain(Vec<Step>);

impl Plain {
    /// AlexNet as torchvision has it, up to the fifth convolution.
    pub fn alexnet(path: &Path) -> Self {
        let conv = |place: i64, from, to, kernel, stride, padding| {
            let shape = Shape { from, to, kernel, stride, padding };
            Step::Conv(Conv::biased(&(path / "features" / place), shape))
        };
        Self(vec![
            conv(0, 3, 64, 11, 4, 2),
            Step::Pool(3),
            conv(3, 64, 192, 5, 1, 2),
            Step::Pool(3),
            conv(6, 192, 384, 3, 1, 1),
            conv(8, 384, 256, 3, 1, 1),
            conv(10, 256, 256, 3, 1, 1),
        ])
    }

    /// VGG-16 without batch normalisation, up to the thirteenth convolution.
    pub fn vgg16(path: &Path) -> Self {
        let (mut steps, mut from, mut place) = (Vec::new(), 3, 0);
        for (stage, (width, depth)) in
            [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)].into_iter().enumerate()
        {
            if stage > 0 {
                steps.push(Step::Pool(2));
                place += 1;
            }
            for _ in 0..depth {
                let path = path / "features" / place;
                steps.push(Step::Conv(Conv::biased(&path, Shape::same(from, width, 3, 1))));
                from = width;
                place += 2; // a rectifier stands behind each
            }
        }
        Self(steps)
    }

    /// `[batch, 3, height, width]` to the map of stride 16.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        self.0.iter().fold(images.shallow_clone(), |features, step| match step {
            Step::Conv(conv) => conv.forward(&features).relu(),
            Step::Pool(side) => features.max_pool2d([*side; 2], [2, 2], [0, 0], [1, 1], false),
        })
    }
}

//! The classifiers of torchvision that LPIPS looks through, as far as it needs them.

use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Tensor, module};

use super::conv::{ConvRelu, Shape};
use crate::params::{ParamResult, Params};

/// A network of torchvision whose features LPIPS compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backbone {
    /// AlexNet, LPIPS' default: five maps. Krizhevsky 2014, "One weird trick for parallelizing convolutional neural
    /// networks".
    AlexNet,
    /// VGG16 without batch normalisation: five maps. Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for
    /// Large-Scale Image Recognition".
    Vgg16,
    /// SqueezeNet 1.1: seven maps. Iandola et al. 2016, "SqueezeNet".
    SqueezeNet,
}

/// A step of a backbone; numbers are places in torchvision's `features`.
#[derive(Clone, Copy)]
enum Plan {
    /// Convolution and ReLU: place, outputs, kernel, stride, padding.
    Conv(usize, usize, usize, usize, usize),
    /// Squeeze and expand with ReLU: place, squeezed channels, outputs of each expansion.
    Fire(usize, usize, usize),
    /// Largest of the window: side (stride 2), and whether a window may reach over the end.
    Pool(usize, bool),
    /// The value here is a feature map.
    Tap,
}
use Plan::{Conv, Fire, Pool, Tap};

const ALEXNET: &[Plan] = &[
    Conv(0, 64, 11, 4, 2),
    Tap,
    Pool(3, false),
    Conv(3, 192, 5, 1, 2),
    Tap,
    Pool(3, false),
    Conv(6, 384, 3, 1, 1),
    Tap,
    Conv(8, 256, 3, 1, 1),
    Tap,
    Conv(10, 256, 3, 1, 1),
    Tap,
];

const VGG16: &[Plan] = &[
    Conv(0, 64, 3, 1, 1),
    Conv(2, 64, 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(5, 128, 3, 1, 1),
    Conv(7, 128, 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(10, 256, 3, 1, 1),
    Conv(12, 256, 3, 1, 1),
    Conv(14, 256, 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(17, 512, 3, 1, 1),
    Conv(19, 512, 3, 1, 1),
    Conv(21, 512, 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(24, 512, 3, 1, 1),
    Conv(26, 512, 3, 1, 1),
    Conv(28, 512, 3, 1, 1),
    Tap,
];

const SQUEEZENET: &[Plan] = &[
    Conv(0, 64, 3, 2, 0),
    Tap,
    Pool(3, true),
    Fire(3, 16, 64),
    Fire(4, 16, 64),
    Tap,
    Pool(3, true),
    Fire(6, 32, 128),
    Fire(7, 32, 128),
    Tap,
    Pool(3, true),
    Fire(9, 48, 192),
    Tap,
    Fire(10, 48, 192),
    Tap,
    Fire(11, 64, 256),
    Tap,
    Fire(12, 64, 256),
    Tap,
];

impl Backbone {
    fn plan(self) -> &'static [Plan] {
        match self {
            Self::AlexNet => ALEXNET,
            Self::Vgg16 => VGG16,
            Self::SqueezeNet => SQUEEZENET,
        }
    }

    /// Channels of each feature map.
    pub fn channels(self) -> &'static [usize] {
        match self {
            Self::AlexNet => &[64, 192, 384, 256, 256],
            Self::Vgg16 => &[64, 128, 256, 512, 512],
            Self::SqueezeNet => &[64, 128, 256, 384, 384, 512, 512],
        }
    }

    /// Tensors of the released file that a distance does not need.
    pub fn surplus(self) -> &'static [&'static str] {
        match self {
            Self::AlexNet => &[
                "classifier.1.weight",
                "classifier.1.bias",
                "classifier.4.weight",
                "classifier.4.bias",
                "classifier.6.weight",
                "classifier.6.bias",
            ],
            Self::Vgg16 => &[
                "classifier.0.weight",
                "classifier.0.bias",
                "classifier.3.weight",
                "classifier.3.bias",
                "classifier.6.weight",
                "classifier.6.bias",
            ],
            Self::SqueezeNet => &["classifier.1.weight", "classifier.1.bias"],
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Conv(Box<ConvRelu>),
    /// Squeeze, and the expansions 1x1 and 3x3.
    Fire(Box<[ConvRelu; 3]>),
    Pool(usize, bool),
    Tap,
}

/// The frozen network.
#[derive(Debug, Clone)]
pub(super) struct Net(Vec<Step>);

impl Net {
    /// Takes torchvision's `features.N.weight`, `features.N.bias` and so on.
    pub fn new(params: &Params, backbone: Backbone) -> ParamResult<Self> {
        let mut channels = 3;
        let at = |place: usize| params.at("features").at(place);
        let step = |plan: &Plan| {
            Ok(match *plan {
                Conv(place, outputs, kernel, stride, padding) => {
                    let shape = Shape::square(channels, outputs, kernel).stride(stride).padding(padding);
                    channels = outputs;
                    Step::Conv(Box::new(ConvRelu::new(&at(place), shape)?))
                }
                Fire(place, squeezed, outputs) => {
                    let part = |name, shape| ConvRelu::new(&at(place).at(name), shape);
                    let squeeze = part("squeeze", Shape::square(channels, squeezed, 1))?;
                    let narrow = part("expand1x1", Shape::square(squeezed, outputs, 1))?;
                    let wide = part("expand3x3", Shape::square(squeezed, outputs, 3).padding(1))?;
                    channels = 2 * outputs;
                    Step::Fire(Box::new([squeeze, narrow, wide]))
                }
                Pool(side, over) => Step::Pool(side, over),
                Tap => Step::Tap,
            })
        };
        backbone.plan().iter().map(step).collect::<ParamResult<_>>().map(Self)
    }

    /// The feature maps of `x [batch, 3, h, w]`.
    pub fn features(&self, mut x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        for step in &self.0 {
            x = match step {
                Step::Conv(conv) => conv.forward(x),
                Step::Fire(parts) => {
                    let [squeeze, narrow, wide] = &**parts;
                    let squeezed = squeeze.forward(x);
                    Tensor::cat(vec![narrow.forward(squeezed.clone()), wide.forward(squeezed)], 1)
                }
                Step::Pool(side, over) => {
                    let window = MaxPoolOptions::new([*side; 2]).with_stride([2, 2]);
                    module::max_pool2d(x, window.with_ceil_mode(*over))
                }
                Step::Tap => {
                    maps.push(x.clone());
                    x
                }
            };
        }
        maps
    }
}

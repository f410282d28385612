//! patchify and unpatchify: kernels against the references, inverses, gradients.

mod common;

use common::{assert_close, devices, tensor, values};
use tessera_shaders::{PatchOrder, patchify, patchify_reference, unpatchify, unpatchify_reference};

const ORDERS: [PatchOrder; 2] = [PatchOrder::ChannelsFirst, PatchOrder::ChannelsLast];
/// batch, channels, grid height, grid width, patch
const SIZES: [[usize; 5]; 5] = [[1, 1, 1, 1, 1], [2, 3, 4, 4, 8], [1, 3, 5, 3, 7], [3, 2, 1, 6, 4], [1, 16, 3, 2, 5]];

#[test]
fn kernels_agree_with_references_and_undo_each_other() {
    for device in devices() {
        for order in ORDERS {
            for [b, c, gh, gw, p] in SIZES {
                let picture = tensor([b, c, gh * p, gw * p], 11, &device);
                let patches = patchify(picture.clone(), p, order);
                let expected = patchify_reference(picture.clone(), p, order);
                assert_eq!(patches.dims(), [b, gh * gw, c * p * p]);
                assert_eq!(values(patches.clone()), values(expected.clone()), "{order:?} {device:?}");
                let back = unpatchify(patches, [gh, gw], p, order);
                let back_reference = unpatchify_reference(expected, [gh, gw], p, order);
                assert_eq!(values(back.clone()), values(back_reference));
                assert_eq!(values(back), values(picture));
            }
        }
    }
}

#[test]
fn gradients_equal_those_of_the_references() {
    for device in devices() {
        for order in ORDERS {
            let [b, c, gh, gw, p] = [2, 3, 2, 3, 4];
            let weights = tensor([b, gh * gw, c * p * p], 5, &device).autodiff();
            let gradient = |kernel: bool| {
                let picture = tensor([b, c, gh * p, gw * p], 6, &device).autodiff().require_grad();
                let patches = match kernel {
                    true => patchify(picture.clone(), p, order),
                    false => patchify_reference(picture.clone(), p, order),
                };
                let back = match kernel {
                    true => unpatchify(patches.clone() * weights.clone(), [gh, gw], p, order),
                    false => unpatchify_reference(patches.clone() * weights.clone(), [gh, gw], p, order),
                };
                let gradients = (back * picture.clone()).sum().backward();
                values(picture.grad(&gradients).expect("a gradient"))
            };
            assert_close(&gradient(true), &gradient(false), 1e-5, "gradient");
        }
    }
}

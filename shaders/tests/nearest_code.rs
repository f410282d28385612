//! nearest_code: kernels against the reference, on every device.

mod common;

use burn::tensor::{Int, Tensor};
use common::{devices, tensor};
use tessera_shaders::{MAX_CODE_DIM, nearest_code, nearest_code_reference};

fn ids(tensor: Tensor<1, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

#[test]
fn kernel_agrees_with_reference_on_odd_sizes() {
    for device in devices() {
        for (n, v, dim) in [
            (1, 1, 1),
            (1, 2, 3),
            (7, 5, 12),
            (8, 64, 12),
            (9, 65, 12),
            (67, 257, 5),
            (300, 1000, 64),
            (33, 4096, 12),
            (5, 31, 128),
        ] {
            let latents = tensor([n, dim], 3 + n as u64, &device);
            let codebook = tensor([v, dim], 77 + v as u64, &device);
            let kernel = ids(nearest_code(latents.clone(), codebook.clone()));
            let reference = ids(nearest_code_reference(latents, codebook));
            assert_eq!(kernel, reference, "n {n} v {v} dim {dim} on {device:?}");
        }
    }
}

#[test]
fn the_lower_index_wins_ties() {
    for device in devices() {
        let row = tensor([1, 12], 5, &device);
        let codebook = Tensor::cat(vec![tensor([70, 12], 9, &device), row.clone().repeat_dim(0, 90)], 0);
        assert_eq!(ids(nearest_code(row.repeat_dim(0, 11), codebook)), vec![70; 11], "{device:?}");
    }
}

#[test]
fn codes_wider_than_the_kernel_take_the_reference() {
    for device in devices() {
        let dim = MAX_CODE_DIM + 1;
        let codebook = tensor([9, dim], 1, &device);
        let found = ids(nearest_code(codebook.clone(), codebook));
        assert_eq!(found, (0..9).collect::<Vec<i64>>());
    }
}

#[test]
fn strided_inputs_and_many_rows_are_read_right() {
    for device in devices() {
        let latents = tensor([12, 2100], 21, &device).transpose();
        let codebook = tensor([12, 130], 22, &device).transpose();
        let kernel = ids(nearest_code(latents.clone(), codebook.clone()));
        assert_eq!(kernel, ids(nearest_code_reference(latents, codebook)), "{device:?}");
    }
}

#[test]
fn an_autodiff_device_gives_the_same_indices() {
    for device in devices() {
        let (latents, codebook) = (tensor([9, 6], 2, &device), tensor([40, 6], 4, &device));
        let plain = ids(nearest_code(latents.clone(), codebook.clone()));
        let tracked = nearest_code(latents.autodiff().require_grad(), codebook.autodiff());
        assert_eq!(plain, ids(tracked), "{device:?}");
    }
}

//! Fusion on equals fusion off: every kernel through the fused device and on the bare backend, in one process.
//!
//! burn 0.22.1 never checks the output shape and type that an extension declares to its fusion layer, so each kernel is
//! followed by an operation that relies on both.

mod common;

use burn::backend::ops::{FloatTensorOps as _, IntTensorOps as _};
use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor, TensorData};
use burn_wgpu::CubeBackend;
use common::{devices, numbers, values};
use tessera_shaders::{
    AttentionMask, EulerStep, EulerStepOps as _, FsqOps as _, GroupNormSiluOps as _, MaskedAttentionOps as _,
    MaskedAttentionShape, ModulatedNormOps as _, Modulation, NearestCodeOps as _, PatchGeometry, PatchOrder,
    PatchifyOps as _, PlaneMerge, Projection, TriplaneGeometry, TriplaneSampleOps as _, euler_step, fsq, fsq_codes,
    group_norm_silu, modulated_norm, nearest_code, patchify, triplane_sample, unpatchify,
};

type Bare = burn::backend::tensor::FloatTensor<CubeBackend>;

fn data(shape: &[usize], seed: u64) -> TensorData {
    TensorData::new(numbers(shape.iter().product(), seed), shape)
}

/// The GPU and its bare device; `None` where there is no GPU (which `devices` judges).
fn gpu() -> Option<(Device, burn_cubecl::CubeDevice)> {
    let device = devices().into_iter().nth(1)?;
    let DispatchDevice::Cube(bare) = device.as_dispatch().clone() else {
        panic!("a GPU that is none: {device:?}");
    };
    Some((device, bare))
}

fn read(tensor: Bare) -> Vec<f32> {
    pollster::block_on(CubeBackend::float_into_data(tensor)).unwrap().try_to_vec().unwrap()
}

#[test]
fn nearest_code_is_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let (latents, codebook) = (data(&[37, 12], 1), data(&[300, 12], 2));
    let fused = nearest_code(Tensor::from_data(latents.clone(), &device), Tensor::from_data(codebook.clone(), &device));
    let fused: Vec<i64> = (fused + 1).into_data().iter::<i64>().map(|id| id - 1).collect();
    let upload = |data| CubeBackend::float_from_data(data, &bare);
    let plain = CubeBackend::nearest_code(upload(latents), upload(codebook));
    let plain = pollster::block_on(CubeBackend::int_into_data(plain)).unwrap();
    assert_eq!(fused, plain.iter::<i64>().collect::<Vec<_>>());
}

#[test]
fn group_norm_silu_is_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let (x, gamma, beta) = (data(&[2, 8, 35], 3), data(&[8], 4), data(&[8], 5));
    let on = |data: &TensorData| data.clone();
    let fused = group_norm_silu(
        Tensor::<3>::from_data(on(&x), &device).reshape([2, 8, 5, 7]),
        Tensor::from_data(on(&gamma), &device),
        Tensor::from_data(on(&beta), &device),
        4,
        1e-6,
        true,
    );
    let upload = |data| CubeBackend::float_from_data(data, &bare);
    let plain = CubeBackend::group_norm_silu(upload(x), upload(gamma), upload(beta), 4, 1e-6, true);
    assert_eq!(values(fused * 1.0), read(plain));
}

#[test]
fn masked_attention_is_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let (q, k, v) = (data(&[2, 35, 24], 7), data(&[2, 41, 24], 8), data(&[2, 41, 24], 9));
    let shape = MaskedAttentionShape { heads: 3, scale: 0.4, mask: AttentionMask::Registers { patches: 20 } };
    let upload = |data: &TensorData| Tensor::<3>::from_data(data.clone(), &device).into_dispatch();
    let fused = Dispatch::masked_attention(upload(&q), upload(&k), upload(&v), shape);
    let fused = Tensor::<3>::from_dispatch(fused);
    let upload = |data| CubeBackend::float_from_data(data, &bare);
    let plain = CubeBackend::masked_attention(upload(q), upload(k), upload(v), shape);
    assert_eq!(values(fused * 1.0), read(plain));
}

#[test]
fn patchify_and_unpatchify_are_the_same() {
    let Some((device, bare)) = gpu() else { return };
    for order in [PatchOrder::ChannelsFirst, PatchOrder::ChannelsLast] {
        let geometry = PatchGeometry { batch: 2, channels: 3, grid: [2, 3], patch: 4, order };
        let picture = data(&[2, 3, 8, 12], 6);
        let fused = patchify(Tensor::from_data(picture.clone(), &device), 4, order);
        let plain = CubeBackend::patchify(CubeBackend::float_from_data(picture, &bare), geometry);
        assert_eq!(values(fused.clone() * 1.0), read(plain.clone()), "{order:?}");
        let fused = unpatchify(fused, [2, 3], 4, order);
        assert_eq!(values(fused * 1.0), read(CubeBackend::unpatchify(plain, geometry)), "{order:?}");
    }
}

#[test]
fn modulated_norm_is_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let (x, shift, scale) = (data(&[2, 5, 24], 3), data(&[2, 2, 24], 4), data(&[2, 2, 24], 5));
    let [on, by, factor] = [&x, &shift, &scale].map(|data| Tensor::from_data(data.clone(), &device));
    let fused = modulated_norm(on, by, factor, 2, 1e-6);
    let [x, shift, scale] = [x, shift, scale].map(|data| CubeBackend::float_from_data(data, &bare));
    let modulation = Modulation { length: 5, channels: 24, kinds: 2, first: 2 };
    let plain = CubeBackend::modulated_norm_kernel(x, shift, scale, modulation, 1e-6);
    assert_eq!(values(fused * 1.0), read(plain));
}

#[test]
fn fsq_and_its_codes_are_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let (z, levels) = (data(&[70, 4], 3), [7, 5, 4, 3]);
    let (codes, ids) = fsq(Tensor::from_data(z.clone(), &device), &levels);
    let again = fsq_codes(ids.clone(), &levels) * 1.0;
    let ids: Vec<i64> = (ids + 1).into_data().iter::<i64>().map(|id| id - 1).collect();
    let (plain, plain_ids) = CubeBackend::fsq_kernel(CubeBackend::float_from_data(z, &bare), levels.to_vec());
    let plain_again = CubeBackend::fsq_codes_kernel(plain_ids.clone(), levels.to_vec());
    assert_eq!(values(codes * 1.0), read(plain));
    assert_eq!(values(again), read(plain_again));
    let plain_ids = pollster::block_on(CubeBackend::int_into_data(plain_ids)).unwrap();
    assert_eq!(ids, plain_ids.iter::<i64>().collect::<Vec<_>>());
}

#[test]
fn euler_step_is_the_same() {
    let Some((device, bare)) = gpu() else { return };
    let all = [1, 2, 3, 4].map(|seed| data(&[2, 3, 5, 7], seed));
    let projection = Projection::default();
    let step = EulerStep { dt: 0.1, guidance: 3.0, projection: Some(projection) };
    let [x, cond, uncond, running] = all.clone().map(|data| Tensor::<4>::from_data(data, &device));
    let (next, difference) = euler_step(x, cond, Some(uncond), Some(running), &step);
    let [x, cond, uncond, running] = all.map(|data| CubeBackend::float_from_data(data, &bare));
    let plain = CubeBackend::euler_step_projected(x, cond, uncond, running, true, step, projection);
    assert_eq!(values(next * 1.0), read(plain.0));
    assert_eq!(values(difference.expect("a projection") * 1.0), read(plain.1));
}

#[test]
fn triplane_sample_and_its_gradient_are_the_same() {
    let Some((device, bare)) = gpu() else { return };
    for merge in [PlaneMerge::Concat, PlaneMerge::Sum] {
        let geometry = TriplaneGeometry { batch: 2, points: 70, channels: 5, height: 6, width: 9, merge };
        let (planes, points) = (data(&[2, 3, 5, 6, 9], 1), data(&[2, 70, 3], 2));
        let grad = data(&[2, 70, geometry.features()], 3);
        let on = |data: &TensorData| data.clone();
        let fused =
            triplane_sample(Tensor::from_data(on(&planes), &device), Tensor::from_data(on(&points), &device), merge);
        let [fused_points, fused_grad] =
            [&points, &grad].map(|data| Tensor::<3>::from_data(on(data), &device).into_dispatch());
        let gradient = Dispatch::triplane_sample_gradient(fused_points, fused_grad, geometry);
        let upload = |data| CubeBackend::float_from_data(data, &bare);
        let plain = CubeBackend::triplane_sample_kernel(upload(planes), upload(points.clone()), geometry);
        assert_eq!(values(fused * 1.0), read(plain), "{merge:?}");
        let plain = CubeBackend::triplane_sample_gradient(upload(points), upload(grad), geometry);
        assert_eq!(values(Tensor::<5>::from_dispatch(gradient) * 1.0), read(plain), "{merge:?}");
    }
}

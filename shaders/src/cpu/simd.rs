//! Sixteen f32 lanes in the widest registers the processor has, chosen at run time.
//!
//! A kernel is written once over [`Lanes`] and its callees are `#[inline(always)]`; [`dispatch!`] compiles it for
//! AVX-512, for AVX2 and for any processor, and picks one of the three when it is called.

use half::f16;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers; arithmetic lane by lane.
pub(crate) trait Lanes: Copy {
    fn splat(value: f32) -> Self;
    fn load(from: &[f32; LANES]) -> Self;
    /// Numbers of half precision.
    fn load_half(from: &[f16; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The larger, or `other` where one is not a number.
    fn max(self, other: Self) -> Self;
    /// The smaller, or `other` where one is not a number.
    fn min(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once where the processor can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `self * 2^n` for whole numbers `n` from -126 to 127.
    fn times_two_to(self, n: Self) -> Self;

    /// e^x to about 2 ulp; x is clamped to +-87, where f32 ends, and stays NaN.
    ///
    /// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor polynomial of degree 6.
    #[inline(always)]
    fn exp(self) -> Self {
        let x = Self::splat(87.0).min(Self::splat(-87.0).max(self));
        // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
        let magic = Self::splat(12_582_912.0);
        let n = x.mul_add(Self::splat(std::f32::consts::LOG2_E), magic).sub(magic);
        let r = n.mul_add(Self::splat(-0.693_359_4), x);
        let r = n.mul_add(Self::splat(2.121_944_4e-4), r);
        r.polynomial(&[1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0]).times_two_to(n)
    }

    /// `coefficients[0] + coefficients[1] * self + ...`.
    #[inline(always)]
    fn polynomial<const N: usize>(self, coefficients: &[f32; N]) -> Self {
        let mut sum = Self::splat(coefficients[N - 1]);
        for &coefficient in coefficients.iter().rev().skip(1) {
            sum = sum.mul_add(self, Self::splat(coefficient));
        }
        sum
    }

    /// The sum of the lanes, added up as a tree.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        lanes[0]
    }

    /// Takes 64 values apart: result `k` holds values `k, k + 4, k + 8 ...`.
    #[inline(always)]
    fn deinterleave(parts: [Self; 4]) -> [Self; 4] {
        let mut flat = [[0.0; LANES]; 4];
        for (flat, part) in flat.iter_mut().zip(parts) {
            part.store(flat);
        }
        let flat = flat.as_flattened();
        std::array::from_fn(|k| Self::load(&std::array::from_fn(|lane| flat[lane * 4 + k])))
    }

    /// Undoes [`Lanes::deinterleave`].
    #[inline(always)]
    fn interleave(parts: [Self; 4]) -> [Self; 4] {
        let mut flat = [[0.0; LANES]; 4];
        for (flat, part) in flat.iter_mut().zip(parts) {
            part.store(flat);
        }
        std::array::from_fn(|k| Self::load(&std::array::from_fn(|i| flat[i % 4][k * 4 + i / 4])))
    }
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    fn load_half(from: &[f16; LANES]) -> Self {
        from.map(f16::to_f32)
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * other[lane])
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] / other[lane])
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        std::array::from_fn(|lane| if self[lane] > other[lane] { self[lane] } else { other[lane] })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        std::array::from_fn(|lane| if self[lane] < other[lane] { self[lane] } else { other[lane] })
    }

    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * f32::from_bits(((n[lane] as i32 + 127) << 23) as u32))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * factor[lane] + term[lane])
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::*;

    use half::f16;

    use super::{LANES, Lanes};

    /// One AVX-512 register. Only [`dispatch!`](super::dispatch) names this type, after it has asked the processor.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    /// Two AVX2 registers; named as [`Avx512`] is.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    // SAFETY of all blocks below: see the two types; loads and stores stay inside the arrays they are given.
    impl Lanes for Avx512 {
        #[inline(always)]
        fn load_half(from: &[f16; LANES]) -> Self {
            // SAFETY: as said above; sixteen numbers of two bytes are a vector of 256 bits.
            unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast()))) }
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_loadu_ps(from.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            // SAFETY: as said above.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_div_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_max_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_min_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn times_two_to(self, n: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_scalef_ps(self.0, n.0)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, term.0)) }
        }

        #[inline(always)]
        fn deinterleave([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            // SAFETY: as said above.
            unsafe {
                let even = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
                let odd = _mm512_add_epi32(even, _mm512_set1_epi32(2));
                let (ab, cd) = (_mm512_permutex2var_ps(a.0, even, b.0), _mm512_permutex2var_ps(c.0, even, d.0));
                let (ab2, cd2) = (_mm512_permutex2var_ps(a.0, odd, b.0), _mm512_permutex2var_ps(c.0, odd, d.0));
                [
                    Self(_mm512_shuffle_f32x4::<0b01_00_01_00>(ab, cd)),
                    Self(_mm512_shuffle_f32x4::<0b11_10_11_10>(ab, cd)),
                    Self(_mm512_shuffle_f32x4::<0b01_00_01_00>(ab2, cd2)),
                    Self(_mm512_shuffle_f32x4::<0b11_10_11_10>(ab2, cd2)),
                ]
            }
        }

        #[inline(always)]
        fn interleave([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            // SAFETY: as said above.
            unsafe {
                // Halves of a and b, and of c and d, side by side; then four lanes of each in turn.
                let (ab, cd) =
                    (_mm512_shuffle_f32x4::<0b01_00_01_00>(a.0, b.0), _mm512_shuffle_f32x4::<0b01_00_01_00>(c.0, d.0));
                let (ab2, cd2) =
                    (_mm512_shuffle_f32x4::<0b11_10_11_10>(a.0, b.0), _mm512_shuffle_f32x4::<0b11_10_11_10>(c.0, d.0));
                let low = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
                let high = _mm512_add_epi32(low, _mm512_set1_epi32(4));
                [
                    Self(_mm512_permutex2var_ps(ab, low, cd)),
                    Self(_mm512_permutex2var_ps(ab, high, cd)),
                    Self(_mm512_permutex2var_ps(ab2, low, cd2)),
                    Self(_mm512_permutex2var_ps(ab2, high, cd2)),
                ]
            }
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn load_half(from: &[f16; LANES]) -> Self {
            let from: *const __m128i = from.as_ptr().cast();
            // SAFETY: as said above; sixteen numbers of two bytes are two vectors of eight.
            unsafe { Self(_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from.add(1)))) }
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            // SAFETY: as said above.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn times_two_to(self, n: Self) -> Self {
            // SAFETY: as said above.
            unsafe {
                let bias = _mm256_set1_epi32(127);
                let (low, high) = (_mm256_cvtps_epi32(n.0), _mm256_cvtps_epi32(n.1));
                let low = _mm256_slli_epi32::<23>(_mm256_add_epi32(low, bias));
                let high = _mm256_slli_epi32::<23>(_mm256_add_epi32(high, bias));
                Self(_mm256_mul_ps(self.0, _mm256_castsi256_ps(low)), _mm256_mul_ps(self.1, _mm256_castsi256_ps(high)))
            }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            // SAFETY: as said above.
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, term.0), _mm256_fmadd_ps(self.1, factor.1, term.1)) }
        }
    }
}

/// Makes a function that runs `kernel::<V>(arguments)` for the widest [`Lanes`] the processor has.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? = $kernel:ident) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) $(-> $out)? {
                    $kernel::<$crate::cpu::simd::x86::Avx512>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $type),*) $(-> $out)? {
                    $kernel::<$crate::cpu::simd::x86::Avx2>($($arg),*)
                }
                if std::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has AVX-512F.
                    return unsafe { avx512($($arg),*) };
                }
                if std::is_x86_feature_detected!("avx2")
                    && std::is_x86_feature_detected!("fma")
                    && std::is_x86_feature_detected!("f16c")
                {
                    // SAFETY: the processor has AVX2, FMA and F16C.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $kernel::<[f32; $crate::cpu::simd::LANES]>($($arg),*)
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    fn exp<V: Lanes>(x: f32) -> f32 {
        let mut lanes = [0.0; LANES];
        V::splat(x).exp().store(&mut lanes);
        lanes[LANES - 1]
    }

    dispatch!(fn widest(x: f32) -> f32 = exp);

    #[test]
    fn exp_stays_within_a_few_ulp() {
        for step in -8_700..=8_700 {
            let x = step as f32 * 0.01;
            for found in [exp::<[f32; LANES]>(x), widest(x)] {
                let (found, expected) = (f64::from(found), f64::from(x).exp());
                assert!((found / expected - 1.0).abs() < 4e-7, "exp({x}) = {found}, not {expected}");
            }
        }
        assert!(exp::<[f32; LANES]>(f32::NAN).is_nan() && widest(f32::NAN).is_nan());
    }

    /// Every operation in every order the processor has, against the portable one.
    fn operations<V: Lanes>() -> Vec<f32> {
        let vector = |start: f32| V::load(&std::array::from_fn(|lane| start + lane as f32 * 0.75));
        let (a, b, c, d) = (vector(-5.0), vector(1.0), vector(20.0), vector(0.125));
        let parts = V::deinterleave([a, b, c, d]);
        let back = V::interleave(parts);
        let results = [a.add(b), a.sub(c), a.mul(d), a.div(b), a.max(d), a.min(d), a.mul_add(b, c)];
        results
            .into_iter()
            .chain([d.times_two_to(V::splat(-3.0)), parts[0], parts[1], parts[2], parts[3]])
            .chain(back)
            .flat_map(|lanes| {
                let mut out = [0.0; LANES];
                lanes.store(&mut out);
                out
            })
            .collect()
    }

    dispatch!(fn widest_operations() -> Vec<f32> = operations);

    #[test]
    fn all_widths_compute_the_same() {
        let portable = operations::<[f32; LANES]>();
        for (found, expected) in widest_operations().into_iter().zip(&portable) {
            assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} {expected}");
        }
        let last = &portable[portable.len() - 4 * LANES..];
        assert_eq!(last[..3], [-5.0, -4.25, -3.5]);
    }
}

//! Where the scales of a sequence end.

/// Most scales of a [`ScaleEnds`].
pub const MAX_SCALES: usize = 32;

/// Ends of up to [`MAX_SCALES`] scales that follow each other. Held in place, so that a mask stays a plain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleEnds {
    ends: [u32; MAX_SCALES],
    count: usize,
}

impl ScaleEnds {
    /// Ends of scales of these lengths; `None` for more scales than there is room for, or more positions than 2^31.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Option<Self> {
        let mut scales = Self { ends: [0; MAX_SCALES], count: 0 };
        let mut end = 0_usize;
        for length in lengths {
            end = end.checked_add(length)?;
            *scales.ends.get_mut(scales.count)? = u32::try_from(end).ok().filter(|&end| end <= 1 << 31)?;
            scales.count += 1;
        }
        Some(scales)
    }

    /// The position behind each scale.
    pub fn ends(&self) -> &[u32] {
        self.ends.get(..self.count).unwrap_or_default()
    }

    /// The position behind the scale that holds position `at`; `None` behind the last scale.
    pub fn end_of(&self, at: usize) -> Option<usize> {
        self.ends().iter().map(|&end| end as usize).find(|&end| at < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_add_up_and_too_many_are_refused() {
        let scales = ScaleEnds::new([1, 4, 9]).unwrap();
        assert_eq!(scales.ends(), [1, 5, 14]);
        assert_eq!(
            [0, 1, 4, 5, 13, 14].map(|at| scales.end_of(at)),
            [Some(1), Some(5), Some(5), Some(14), Some(14), None]
        );
        assert!(ScaleEnds::new([1; MAX_SCALES]).is_some() && ScaleEnds::new([1; MAX_SCALES + 1]).is_none());
        assert!(ScaleEnds::new([usize::MAX, 1]).is_none() && ScaleEnds::new([1 << 31, 1]).is_none());
    }
}

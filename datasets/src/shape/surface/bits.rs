//! A layer of marks, a bit each, so that whole rows are handled word by word.

/// Rows of bits, `side` rows of `side` bits.
pub(super) struct Bits {
    words: usize,
    bits: Vec<u64>,
}

/// A place in a layer: y above z.
pub(super) type Place = u32;

/// y and z of a place.
pub(super) fn y_and_z(place: Place) -> [u16; 2] {
    [(place >> 16) as u16, place as u16]
}

/// The place of y and z.
pub(super) fn place(y: u16, z: u16) -> Place {
    u32::from(y) << 16 | u32::from(z)
}

impl Bits {
    pub(super) fn new(side: usize) -> Self {
        let words = side.div_ceil(64);
        Self { words, bits: vec![0; words * side] }
    }

    /// Sets the bits of `places` and no others.
    pub(super) fn fill(&mut self, places: &[Place]) {
        self.bits.fill(0);
        places.iter().for_each(|&place| self.set(place));
    }

    pub(super) fn set(&mut self, place: Place) {
        let [y, z] = y_and_z(place).map(usize::from);
        self.bits[y * self.words + z / 64] |= 1 << (z % 64);
    }

    pub(super) fn get(&self, place: Place) -> bool {
        let [y, z] = y_and_z(place).map(usize::from);
        self.bits[y * self.words + z / 64] >> (z % 64) & 1 == 1
    }

    /// The places of all bits, by y and then by z.
    pub(super) fn each(&self, mut see: impl FnMut(Place)) {
        for (y, row) in self.bits.chunks(self.words).enumerate() {
            for (at, &word) in row.iter().enumerate() {
                let mut word = word;
                while word != 0 {
                    see((y << 16 | (at * 64 + word.trailing_zeros() as usize)) as Place);
                    word &= word - 1;
                }
            }
        }
    }

    fn row(&self, y: usize) -> &[u64] {
        &self.bits[y * self.words..(y + 1) * self.words]
    }

    fn rows(&self) -> usize {
        self.bits.len() / self.words
    }

    /// Sets the bits of the corners, on the layer between them, of the cells `below` and `above` it.
    pub(super) fn corners(&mut self, below: &Self, above: &Self) {
        self.bits.fill(0);
        for y in 0..self.rows() - 1 {
            let mut carried = 0;
            for at in 0..self.words {
                let cells = below.row(y)[at] | above.row(y)[at];
                let both = cells | cells << 1 | carried;
                carried = cells >> 63;
                self.bits[y * self.words + at] |= both;
                self.bits[(y + 1) * self.words + at] |= both;
            }
        }
    }

    /// Sets the bits of the cells between two layers, of which these are the inside corners, that have corners of both sorts.
    pub(super) fn mixed(&mut self, below: &Self, above: &Self) {
        for y in 0..self.rows() - 1 {
            let at = |at: usize| -> [u64; 2] {
                if at >= self.words {
                    return [0, 0];
                }
                let [a, b] = [below, above].map(|layer| [layer.row(y)[at], layer.row(y + 1)[at]]);
                [a[0] | a[1] | b[0] | b[1], a[0] & a[1] & b[0] & b[1]]
            };
            let mut here = at(0);
            for word in 0..self.words {
                let next = at(word + 1);
                let [any, all] = here;
                let any = any | any >> 1 | next[0] << 63;
                let all = all & (all >> 1 | next[1] << 63);
                self.bits[y * self.words + word] = any & !all;
                here = next;
            }
        }
        let last = (self.rows() - 1) * self.words;
        self.bits[last..].fill(0);
    }

    /// Leaves the bits that `other` has too.
    pub(super) fn and(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits &= other);
    }

    /// Adds the bits of `places` and those around them, up to `cells` in each direction.
    pub(super) fn add_grown(&mut self, places: &[Place], cells: u16) {
        for &at in places {
            let [y, z] = y_and_z(at);
            for y in y.saturating_sub(1)..(y + 2).min(cells) {
                for z in z.saturating_sub(1)..(z + 2).min(cells) {
                    self.set(place(y, z));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(side: usize, places: &[[u16; 2]]) -> Bits {
        let mut bits = Bits::new(side);
        places.iter().for_each(|&[y, z]| bits.set(place(y, z)));
        bits
    }

    fn listed(bits: &Bits) -> Vec<[u16; 2]> {
        let mut places = Vec::new();
        bits.each(|place| places.push(y_and_z(place)));
        places
    }

    #[test]
    fn rows_carry_from_word_to_word() {
        let side = 130;
        let (cells, none) = (of(side, &[[0, 63], [2, 127]]), Bits::new(side));
        let mut corners = Bits::new(side);
        corners.corners(&none, &cells);
        let expected = [[0, 63], [0, 64], [1, 63], [1, 64], [2, 127], [2, 128], [3, 127], [3, 128]];
        assert_eq!(listed(&corners), expected);
        // One inside corner makes the four cells of its layer that touch it mixed; a full layer below makes none.
        let mut mixed = Bits::new(side);
        mixed.mixed(&of(side, &[[1, 64]]), &none);
        assert_eq!(listed(&mixed), [[0, 63], [0, 64], [1, 63], [1, 64]]);
    }
}

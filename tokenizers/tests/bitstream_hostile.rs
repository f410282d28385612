//! Token files that nobody meant well with.

#[path = "hostile/header.rs"]
mod header;
mod hostile;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use header::{header_bytes, repair};
use hostile::Outcome;
use tessera_tokenizers::token_file::{memory_limit, read_safetensors, write_safetensors};
use tessera_tokenizers::{
    Fingerprint, PictureInfo, TokenFile, TokenFileError, TokenLayout, Tokens, read_tsr, write_tsr,
};

/// Counts what is allocated and how much that was at its highest.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on to the system's allocator; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Reads the bytes and holds what that allocates against the stated limit.
fn watched(bytes: &[u8], read: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let outcome = read(bytes);
    let used = PEAK.load(Relaxed) - before;
    assert!(used <= memory_limit(bytes.len()), "{used} bytes allocated for {bytes:02x?}");
    HIGHEST.fetch_max(used, Relaxed);
    outcome
}

fn count(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A small fixed generator (splitmix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn corpus() -> Vec<TokenFile> {
    let mut rng = Rng(7);
    let ordered = |len| TokenLayout::Ordered { len };
    let picture = |width, height, tile| Some(PictureInfo { width, height, tile, overlap: 0 });
    let shapes = [
        (1, ordered(256), vec![4096], None),
        (1, ordered(32), vec![1000], picture(640, 480, None)),
        (6, ordered(16), vec![8192], picture(700, 500, Some(256))),
        (9, ordered(16), vec![8192], Some(PictureInfo::tiled(700, 500, 256, 32))),
        (3, ordered(5), vec![1, u32::MAX, 2], None),
        (2, ordered(9), vec![1], None),
        (2, TokenLayout::Grid { height: 4, width: 5 }, vec![16384, 3], None),
        (1, TokenLayout::Scales { counts: vec![1, 4, 9] }, vec![17], picture(64, 64, None)),
    ];
    let mut files = Vec::new();
    for (items, layout, vocab, picture) in shapes {
        let count = items * layout.positions();
        let depths = || vocab.iter().cycle().take(count * vocab.len());
        let ids = depths().map(|&vocab| (rng.next() % u64::from(vocab)) as u32).collect();
        let whole = Tokens::new(ids, items, layout, vocab.clone(), Fingerprint([0xa5; 32])).unwrap();
        let positions = whole.positions();
        let lengths: Vec<usize> = (0..items).map(|_| rng.below(positions + 1)).collect();
        let prefixes = (0..count).map(|at| at % positions < lengths[at / positions]).collect();
        let subset = (0..count).map(|_| rng.below(2) == 0).collect();
        let masked = |mask| whole.clone().with_kept(mask).unwrap();
        let variants = [whole.clone(), whole.clone().prefix(positions / 2).unwrap(), masked(prefixes), masked(subset)];
        for tokens in variants {
            let file = TokenFile::new(tokens);
            files.push(picture.map_or(file.clone(), |picture| file.with_picture(picture)));
        }
    }
    files
}

/// Numbers at which arithmetic and limits turn.
const EDGES: [u32; 18] =
    [0, 1, 2, 3, 4, 7, 8, 31, 255, 256, 4095, 65_537, 1 << 20, 1 << 24, 1 << 26, (1 << 26) + 1, 1 << 31, u32::MAX];

/// The same file with some numbers of its header replaced and its checksums made right again.
fn overwrite_header(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let header = header_bytes(bytes).unwrap_or(bytes.len());
    for _ in 0..1 + rng.below(2) {
        match rng.below(6) {
            0 => bytes[5] ^= 1 << rng.below(6),
            1 => bytes[6] = rng.below(5) as u8,
            2..=4 => {
                // a number after the fingerprint, small most of the time so that the rest still fits
                let at = 40 + 4 * rng.below((header - 44) / 4);
                let number = if rng.below(12) == 0 { *rng.pick(&EDGES) } else { rng.below(40) as u32 };
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            _ => {
                let at = rng.below(header);
                bytes[at] = rng.byte();
            }
        }
    }
    if rng.below(2) == 0 {
        let count = rng.below(400);
        bytes.extend(rng.bytes(count));
    }
    repair(bytes);
}

fn mutate(rng: &mut Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.pick(valid).clone();
    match rng.below(10) {
        0 => {
            let count = rng.below(160);
            let kept = rng.below(12).min(count);
            bytes.truncate(kept);
            bytes.extend(rng.bytes(count - kept));
        }
        1 | 2 => {
            for _ in 0..1 + rng.below(4) {
                let at = rng.below(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
        }
        3 | 4 => bytes.truncate(rng.below(bytes.len())),
        5 => {
            let other = rng.pick(valid);
            bytes.truncate(rng.below(bytes.len()));
            bytes.extend(&other[rng.below(other.len())..]);
        }
        _ => overwrite_header(rng, &mut bytes),
    }
    if rng.below(8) == 0 {
        // also cut what was mutated otherwise
        bytes.truncate(rng.below(bytes.len() + 1));
    }
    bytes
}

fn mutate_json(rng: &mut Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.pick(valid).clone();
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(bytes.len());
        match rng.below(5) {
            0 => bytes[at] = rng.byte(),
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, *rng.pick(b"0123456789\"[]{},:- \\")),
            3 => bytes[at] = *rng.pick(b"0123456789"),
            _ => {
                let end = (at + rng.below(9)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, part);
            }
        }
    }
    if rng.below(2) == 0 {
        // the header's length again, as if the mutation had been meant
        let header = bytes.windows(2).rposition(|pair| pair == b"}}" || pair == b"} ");
        if let (Some(end), Some(length)) = (header, bytes.first_chunk_mut::<8>()) {
            *length = ((end + 2).saturating_sub(8) as u64).to_le_bytes();
        }
    }
    bytes
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(TokenFile { cut: None, .. }) => "read whole",
        Ok(_) => "read in part",
        Err(TokenFileError::NotTsr { .. }) => "not tsr",
        Err(TokenFileError::Version { .. }) => "version",
        Err(TokenFileError::HeaderCut { .. }) => "header cut",
        Err(TokenFileError::HeaderDamaged { .. }) => "header damaged",
        Err(TokenFileError::Field { .. }) => "field",
        Err(TokenFileError::Json { .. }) => "json",
        Err(TokenFileError::TooManyIds { .. }) => "too many ids",
        Err(TokenFileError::Cut { .. }) => "cut",
        Err(TokenFileError::TooLong { .. }) => "too long",
        Err(TokenFileError::Damaged { .. }) => "damaged",
        Err(TokenFileError::Padding) => "padding",
        Err(TokenFileError::Tokens(_)) => "tokens",
        Err(_) => "other",
    }
}

#[test]
fn a_million_random_and_mutated_files_never_panic_the_reader_nor_allocate_beyond_the_limit() {
    const CASES: usize = 1_000_000;
    let files = corpus();
    let valid: Vec<_> = files.iter().map(|file| write_tsr(file).unwrap()).collect();
    let json: Vec<_> = files.iter().map(|file| write_safetensors(file).unwrap()).collect();
    let (mut rng, mut seen) = (Rng(1), BTreeMap::<_, usize>::new());
    for case in 0..CASES {
        if case % 8 == 0 {
            let bytes = mutate_json(&mut rng, &json);
            let result = hostile::check_safetensors(&bytes, |bytes| watched(bytes, read_safetensors));
            *seen.entry(("safetensors", name(&result))).or_default() += 1;
            continue;
        }
        let mut bytes = mutate(&mut rng, &valid);
        let check =
            |bytes: &[u8]| hostile::check_tsr(bytes, |bytes, partial| watched(bytes, |bytes| read_tsr(bytes, partial)));
        let [whole, partial] = check(&bytes);
        *seen.entry(("whole", name(&whole))).or_default() += 1;
        *seen.entry(("partial", name(&partial))).or_default() += 1;
        if let Err(TokenFileError::TooLong { expected, .. }) = whole {
            // the right length and checksum lead on to the ids
            bytes.truncate(expected);
            repair(&mut bytes);
            let [whole, _] = check(&bytes);
            *seen.entry(("trimmed", name(&whole))).or_default() += 1;
        }
    }
    println!("highest allocation: {} bytes\n{seen:#?}", HIGHEST.load(Relaxed));
    // the cases must reach every part of the readers, else the test says little
    for result in ["header cut", "header damaged", "field", "too many ids", "cut", "too long", "damaged"] {
        assert!(seen.get(&("whole", result)).is_some_and(|&count| count > 1000), "{result}: {seen:?}");
    }
    for result in ["read whole", "padding", "tokens"] {
        assert!(seen.get(&("trimmed", result)).is_some_and(|&count| count > 1000), "{result}: {seen:?}");
    }
    for result in ["read in part", "tokens", "version", "not tsr"] {
        assert!(seen.get(&("partial", result)).is_some_and(|&count| count > 1000), "{result}: {seen:?}");
    }
    for result in ["read whole", "json", "field", "header cut", "tokens"] {
        assert!(seen.get(&("safetensors", result)).is_some_and(|&count| count > 1000), "{result}: {seen:?}");
    }
}

//! Losses of both stages of SEED's training.

use burn::tensor::{Int, Tensor, TensorData, activation};
use tessera_layers::Trace;

use super::qformer::padding_weights;
use super::{LossWeights, SeedCodec, SeedContrastive};
use crate::TokenizerError;
use crate::quantizers::l2_normalise;
use crate::tensors::upload_ids;

/// Texts of a batch as ids of word pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captions {
    /// Ids `[batch, words]`, row by row; the first of a text is `[CLS]`.
    pub ids: Vec<u32>,
    /// Where a word stands; false for padding.
    pub mask: Vec<bool>,
    /// Texts, and words of each.
    pub shape: [usize; 2],
}

/// What the first stage comes to.
#[derive(Debug, Clone)]
pub struct ContrastiveLosses {
    /// The loss, `[1]`.
    pub loss: Tensor<1>,
    /// Causal embeddings `[batch, queries, width]`.
    pub embeddings: Tensor<3>,
    /// Hidden states of the texts `[batch, words, width]`.
    pub text_hidden: Tensor<3>,
    /// Features of the pictures `[batch, common width]`.
    pub image: Tensor<2>,
    /// Features of the texts `[batch, common width]`.
    pub text: Tensor<2>,
}

/// First stage: normalised pictures `[batch, channels, side, side]` and their captions, one each. The ViT is frozen.
///
/// Nothing is dropped out: released training drops 10 % within the Q-Former.
///
/// # Errors
/// [`TokenizerError::Input`] if pictures and captions do not fit together or to the network.
pub fn contrastive_losses(
    network: &SeedContrastive,
    images: Tensor<4>,
    captions: &Captions,
    label_smoothing: f64,
    trace: &mut Trace,
) -> Result<ContrastiveLosses, TokenizerError> {
    let [batch, words] = captions.shape;
    let qformer = network.encoder().qformer();
    let (longest, vocabulary) = (qformer.longest_text().unwrap_or(0), qformer.vocabulary().unwrap_or(0));
    let unfit = |what, expected: String, found: String| Err(TokenizerError::Input { what, expected, found });
    if images.dims()[0] != batch || batch == 0 {
        return unfit("captions", format!("one for each of {} pictures", images.dims()[0]), batch.to_string());
    }
    if words == 0 || words > longest {
        return unfit("words of a caption", format!("1 to {longest}"), words.to_string());
    }
    if captions.ids.len() != batch * words || captions.mask.len() != batch * words {
        let found = format!("{} and {}", captions.ids.len(), captions.mask.len());
        return unfit("ids and mask", format!("{batch} x {words} of both"), found);
    }
    let beyond = |id: &&u32| usize::try_from(**id).is_ok_and(|id| id >= vocabulary);
    if let Some(id) = captions.ids.iter().find(beyond) {
        return unfit("word ids", format!("0..{vocabulary}"), id.to_string());
    }
    let device = network.device();
    let ids = upload_ids(&captions.ids, captions.shape, &device);
    let padding = padding_weights(&captions.mask, captions.shape, &device);
    let Some(text_hidden) = network.text_hidden(ids, padding) else {
        return unfit("network", "a Q-Former with its text half".to_owned(), "one without".to_owned());
    };
    let embeddings = network.embeddings(images, trace);
    let (image, text) = (network.image_features(embeddings.clone()), network.text_features(text_hidden.clone()));
    let sides = Sides { image: image.clone(), text: text.clone(), all_images: None, all_texts: None, first: 0 };
    let loss = contrastive_loss(sides, network.temperature(), label_smoothing);
    Ok(ContrastiveLosses { loss, embeddings, text_hidden, image, text })
}

/// Features of length 1 that are compared. In training on several machines each holds its own rows and sees all.
#[derive(Debug, Clone)]
pub struct Sides {
    /// Own pictures, `[batch, width]`.
    pub image: Tensor<2>,
    /// Own texts, `[batch, width]`.
    pub text: Tensor<2>,
    /// Pictures of all machines, `[all, width]`, which carry no gradient; `None` for one machine.
    pub all_images: Option<Tensor<2>>,
    /// Texts of all machines, `[all, width]`, which carry no gradient; `None` for one machine.
    pub all_texts: Option<Tensor<2>>,
    /// Place of the first own row among all.
    pub first: usize,
}

/// Mean of both cross-entropies of similarities over `temperature [1]`: which text belongs to a picture, and which picture to a text.
pub fn contrastive_loss(sides: Sides, temperature: Tensor<1>, label_smoothing: f64) -> Tensor<1> {
    let Sides { image, text, all_images, all_texts, first } = sides;
    let texts = all_texts.map_or_else(|| text.clone(), Tensor::detach);
    let images = all_images.map_or_else(|| image.clone(), Tensor::detach);
    let temperature = temperature.reshape([1, 1]);
    let of_images = image.matmul(texts.transpose()) / temperature.clone();
    let of_texts = text.matmul(images.transpose()) / temperature;
    let entropy = |logits: Tensor<2>| smoothed_cross_entropy(logits, first, label_smoothing);
    (entropy(of_images) + entropy(of_texts)).div_scalar(2.0)
}

/// For training without captions: two views of each picture, features `[batch, width]` of length 1 each, must find each other among
/// all.
pub fn two_view_loss(first: Tensor<2>, second: Tensor<2>, temperature: Tensor<1>) -> Tensor<1> {
    contrastive_loss(
        Sides { image: first, text: second, all_images: None, all_texts: None, first: 0 },
        temperature,
        0.0,
    )
}

/// For training with classes in place of captions: pictures, features `[batch, width]` of length 1, must find those of their class.
///
/// Mean over pictures that are not alone in their class of the mean of `-log softmax` at the others of it; a picture is not compared with
/// itself. Zero where every picture is alone. Source: Khosla et al. 2020, "Supervised Contrastive Learning" (arXiv 2004.11362),
/// equation 2.
pub fn class_contrastive_loss(features: Tensor<2>, classes: &[u32], temperature: Tensor<1>) -> Tensor<1> {
    let [batch, _] = features.dims();
    let device = features.device();
    let alike = |a: usize, b: usize| a != b && classes.get(a).is_some() && classes.get(a) == classes.get(b);
    let counts: Vec<usize> = (0..batch).map(|a| (0..batch).filter(|&b| alike(a, b)).count()).collect();
    let anchors = counts.iter().filter(|count| **count > 0).count().max(1);
    let mut shares = Vec::with_capacity(batch * batch);
    for (a, count) in counts.iter().enumerate() {
        let share = 1.0 / (anchors * count.max(&1)) as f32;
        shares.extend((0..batch).map(|b| if alike(a, b) { share } else { 0.0 }));
    }
    let shares = Tensor::<2>::from_data(TensorData::new(shares, [batch, batch]), &device);
    // A large number, not infinity, keeps a picture from itself: its share is 0, and 0 times infinity would be no number.
    let itself = Tensor::<2>::eye(batch, &device).mul_scalar(-1e4);
    let logits = features.clone().matmul(features.transpose()) / temperature.reshape([1, 1]) + itself;
    (activation::log_softmax(logits, 1) * shares).sum().neg()
}

/// Cross-entropy of `logits [rows, classes]` with classes `first`, `first + 1` ..., of whose weight `smoothing` is spread evenly.
fn smoothed_cross_entropy(logits: Tensor<2>, first: usize, smoothing: f64) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let targets: Vec<u32> = (first..first + rows).map(|class| u32::try_from(class).unwrap_or(u32::MAX)).collect();
    let targets: Tensor<2, Int> = upload_ids(&targets, [rows, 1], &logits.device());
    let logarithms = activation::log_softmax(logits, 1);
    let right = logarithms.clone().gather(1, targets).mean().neg();
    right.mul_scalar(1.0 - smoothing) - logarithms.mean().mul_scalar(smoothing)
}

/// What the second stage comes to, losses before their weights.
#[derive(Debug, Clone)]
pub struct CodecLosses {
    /// Commitment, and the codebook's term with its weight.
    pub quantizer: Tensor<1>,
    /// Mean over tokens of one minus the cosine between rebuilt and real causal embeddings; `None` without a decoder for them.
    pub reconstruction: Option<Tensor<1>>,
    /// Mean squared distance of the features to the teacher's; `None` without a teacher.
    pub distillation: Option<Tensor<1>>,
    /// Weighted sum.
    pub total: Tensor<1>,
    /// Codes `[batch, tokens]`.
    pub indices: Tensor<2, Int>,
    /// What was compared with the codebook, `[batch, tokens, code width]`.
    pub latents: Tensor<3>,
    /// Code vectors behind `decode_task_layer`, `[batch, tokens, width]`; their gradient passes the quantizer.
    pub dequantized: Tensor<3>,
    /// Features `[batch, rows, channels]`.
    pub features: Tensor<3>,
}

/// Second stage, on causal embeddings `[batch, tokens, width]` of a frozen encoder. `teacher` holds the features to imitate,
/// `[batch, rows, channels]`: CLIP ViT-H's image embedding in one row for SEED-2, 77 rows of CLIP ViT-L's text encoder for SEED-1.
///
/// Decoders' gradients pass the quantizer straight through to `encode_task_layer`, and end at the embeddings. Reports what
/// [`SeedCodec`]'s parts do to `trace`.
///
/// # Errors
/// [`TokenizerError::Input`] if the teacher's features have another shape.
pub fn codec_losses(
    codec: &SeedCodec,
    embeddings: Tensor<3>,
    teacher: Option<Tensor<3>>,
    weights: &LossWeights,
    trace: &mut Trace,
) -> Result<CodecLosses, TokenizerError> {
    codec_losses_through(codec, embeddings.detach(), teacher, weights, trace)
}

/// [`codec_losses`] whose gradients go on into the embeddings, for an encoder that is trained too. What embeddings are rebuilt to stays a
/// constant.
///
/// # Errors
/// As [`codec_losses`].
pub fn codec_losses_through(
    codec: &SeedCodec,
    embeddings: Tensor<3>,
    teacher: Option<Tensor<3>>,
    weights: &LossWeights,
    trace: &mut Trace,
) -> Result<CodecLosses, TokenizerError> {
    let latents = codec.latents(embeddings.clone());
    let quantized = codec.quantizer().forward(latents.clone());
    let quantizer = quantized.commitment_loss + quantized.codebook_loss.mul_scalar(codec.beta());
    let dequantized = codec.dequantize(quantized.vectors, trace);
    let rebuilt = codec.rebuild(dequantized.clone(), trace);
    let reconstruction = rebuilt.map(|rebuilt| cosine_loss(rebuilt, embeddings.detach()));
    let features = codec.features(dequantized.clone(), trace);
    let distillation = match teacher {
        Some(teacher) if teacher.dims() != features.dims() => {
            let (expected, found) = (format!("{:?}", features.dims()), format!("{:?}", teacher.dims()));
            return Err(TokenizerError::Input { what: "features of the teacher", expected, found });
        }
        Some(teacher) => Some((features.clone() - teacher.detach()).square().mean()),
        None => None,
    };
    let mut total = quantizer.clone().mul_scalar(weights.embed);
    let weighted = [(&reconstruction, weights.recon), (&distillation, weights.distil_image)];
    for (loss, weight) in weighted {
        if let Some(loss) = loss {
            total = total + loss.clone().mul_scalar(weight);
        }
    }
    let indices = quantized.indices;
    Ok(CodecLosses { quantizer, reconstruction, distillation, total, indices, latents, dequantized, features })
}

/// Mean over positions of one minus the cosine of two vectors `[batch, positions, width]`.
pub fn cosine_loss(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    (l2_normalise(a) * l2_normalise(b)).sum_dim(2).mean().neg().add_scalar(1.0)
}

/// A caption as the first stage reads it: lower case, without punctuation, and of at most `most_words` words (50 as published). Word
/// pieces are the text tokenizer's.
pub fn clean_caption(caption: &str, most_words: usize) -> String {
    let plain = caption.to_lowercase().replace(['.', '!', '"', '(', ')', '*', '#', ':', ';', '~'], " ");
    plain.split_whitespace().take(most_words).collect::<Vec<_>>().join(" ")
}

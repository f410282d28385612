//! Captions for what nobody asked for.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::Words;

/// Kind of the tags that say how a picture is drawn, not what it shows.
const STYLE: &str = "style";

impl Words {
    /// `count` captions that say more than `given`: a style and a class where it has none, and a name that the model has learnt of both,
    /// each drawn from what it has learnt. Names do not repeat before all have come, and styles take turns.
    ///
    /// A picture of a class is a picture of something: drawing its name first and then the picture of that name is how pictures of the
    /// class are distributed, and a small model draws a cat better than an animal. Without [`Words::subjects`] the captions are `given`.
    pub fn draw_captions(&self, given: &[String], count: usize, seed: u64) -> Vec<String> {
        let is_style = |tag: &str| tag.split_once('=').is_some_and(|(kind, _)| kind == STYLE);
        let wanted = |style: bool| -> Vec<(&str, &[String])> {
            let tags = self.subjects().iter().filter(|(tag, _)| is_style(tag) == style);
            let tags: Vec<_> = tags.map(|(tag, names)| (tag.as_str(), names.as_slice())).collect();
            let asked = |(tag, _): &&(&str, &[String])| given.iter().any(|given| given == tag);
            tags.iter().find(asked).map_or(tags.clone(), |asked| vec![*asked])
        };
        let subjects = wanted(false);
        let subjects = subjects.iter().flat_map(|&(tag, names)| names.iter().map(move |name| (tag, name)));
        let (mut subjects, mut styles) = (subjects.collect::<Vec<_>>(), wanted(true));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        subjects.shuffle(&mut rng);
        styles.shuffle(&mut rng);
        let mut drawn = Vec::with_capacity(count);
        for number in 0..count {
            let (style, known) = match styles.len() {
                0 => ("", None),
                styles_known => {
                    styles.get(number % styles_known).map_or(("", None), |&(tag, names)| (tag, Some(names)))
                }
            };
            // The first that this style has; it goes to the end, behind those that have not come yet.
            let fits = |(_, name): &(&str, &String)| known.is_none_or(|known| known.contains(name));
            let place = subjects.iter().position(fits).unwrap_or(0);
            let (tag, name) = match place < subjects.len() {
                true => {
                    let subject = subjects.remove(place);
                    subjects.push(subject);
                    (subject.0, subject.1.as_str())
                }
                false => ("", ""),
            };
            // Tags in the order in which captions have them: the style, the class, the name.
            let rest = given.iter().map(String::as_str).filter(|given| *given != tag && *given != style);
            let parts = [style, tag].into_iter().chain(rest).chain([name]).filter(|part| !part.is_empty());
            drawn.push(parts.collect::<Vec<_>>().join(" "));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let words = ["ant", "bear", "big", "group=animals", "group=food", "pie", "style=flat", "style=noto"];
        let subjects = [
            ("group=animals", vec!["ant", "big bear"]),
            ("group=food", vec!["pie"]),
            ("style=flat", vec!["ant", "pie"]),
            ("style=noto", vec!["ant", "big bear", "pie"]),
        ];
        let subjects = subjects.map(|(tag, names)| (tag.to_owned(), names.into_iter().map(str::to_owned).collect()));
        Words::try_from(words.map(str::to_owned).to_vec()).unwrap().with_subjects(subjects.into()).unwrap()
    }

    #[test]
    fn a_class_gets_each_of_its_names_before_any_comes_again() {
        let given = ["group=animals".to_owned(), "style=noto".to_owned()];
        for seed in 0..8 {
            let mut captions = words().draw_captions(&given, 4, seed);
            assert_eq!(captions[..2], captions[2..]);
            captions.sort();
            captions.dedup();
            assert_eq!(captions, ["style=noto group=animals ant", "style=noto group=animals big bear"]);
        }
    }

    #[test]
    fn what_is_not_given_is_drawn() {
        let captions = words().draw_captions(&[], 12, 1);
        assert!(captions.iter().any(|caption| caption.ends_with("group=food pie")));
        assert!(captions.iter().any(|caption| caption.ends_with("group=animals big bear")));
        assert_eq!(captions.iter().filter(|caption| caption.starts_with("style=flat ")).count(), 6);
        assert!(captions.iter().all(|caption| caption.starts_with("style=") && caption.contains(" group=")));
        assert!((2..9).any(|seed| captions != words().draw_captions(&[], 12, seed)));
    }

    #[test]
    fn a_style_gets_names_that_it_has() {
        let captions = words().draw_captions(&["style=flat".to_owned(), "group=animals".to_owned()], 3, 4);
        assert_eq!(captions, ["style=flat group=animals ant"; 3]);
    }

    #[test]
    fn a_model_that_knows_no_names_gets_what_is_given() {
        let plain = Words::try_from(words().all().to_vec()).unwrap();
        assert_eq!(plain.draw_captions(&["group=food".to_owned()], 2, 0), ["group=food", "group=food"]);
        assert_eq!(plain.draw_captions(&[], 2, 0), ["", ""]);
    }
}

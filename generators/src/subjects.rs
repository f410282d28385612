//! Captions for what nobody asked for.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::Words;

/// Kind of the tags that say how a picture is drawn, not what it shows.
const STYLE: &str = "style";

impl Words {
    /// `count` captions that say more than `given`: a name of the class in `given` (of any class where it has none) and a style
    /// where it has none, each drawn from what the model has learnt. Names do not repeat before all have come.
    ///
    /// A picture of a class is a picture of something: drawing its name first and then the picture of that name is how pictures of the
    /// class are distributed, and a small model draws a cat better than an animal. Without [`Words::subjects`] the captions are `given`.
    pub fn draw_captions(&self, given: &[String], count: usize, seed: u64) -> Vec<String> {
        let is_style = |tag: &str| tag.split_once('=').is_some_and(|(kind, _)| kind == STYLE);
        let class = given.iter().find(|tag| self.subjects().contains_key(*tag));
        let of_class = self.subjects().iter().filter(|(tag, _)| class.is_none_or(|class| class == *tag));
        let subjects = of_class.flat_map(|(tag, names)| names.iter().map(move |name| [tag.as_str(), name.as_str()]));
        let mut subjects: Vec<[&str; 2]> = subjects.collect();
        let mut styles: Vec<&str> = self.all().iter().map(String::as_str).filter(|tag| is_style(tag)).collect();
        if subjects.is_empty() || given.iter().any(|tag| is_style(tag)) {
            styles.clear();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        subjects.shuffle(&mut rng);
        styles.shuffle(&mut rng);
        let mut styles = styles.iter().cycle();
        let mut subjects = subjects.iter().cycle();
        let captions = (0..count).map(|_| {
            let [tag, name] = subjects.next().copied().unwrap_or_default();
            let added = if given.iter().any(|given| given == tag) { "" } else { tag };
            let style = styles.next().copied().unwrap_or_default();
            let parts = given.iter().map(String::as_str).chain([added, style, name]);
            parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        });
        captions.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let words = ["ant", "bear", "big", "group=animals", "group=food", "pie", "style=flat", "style=noto"];
        let subjects = [("group=animals", vec!["ant", "big bear"]), ("group=food", vec!["pie"])];
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
            assert_eq!(captions, ["group=animals style=noto ant", "group=animals style=noto big bear"]);
        }
    }

    #[test]
    fn what_is_not_given_is_drawn() {
        let captions = words().draw_captions(&[], 6, 1);
        assert!(captions.iter().any(|caption| caption.starts_with("group=food") && caption.ends_with("pie")));
        assert!(captions.iter().any(|caption| caption.contains("style=flat")));
        assert!(captions.iter().all(|caption| caption.contains("style=") && caption.contains("group=")));
        assert_ne!(captions, words().draw_captions(&[], 6, 2));
    }

    #[test]
    fn a_model_that_knows_no_names_gets_what_is_given() {
        let plain = Words::try_from(words().all().to_vec()).unwrap();
        assert_eq!(plain.draw_captions(&["group=food".to_owned()], 2, 0), ["group=food", "group=food"]);
        assert_eq!(plain.draw_captions(&[], 2, 0), ["", ""]);
    }
}

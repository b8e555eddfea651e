use image::RgbImage;

use super::*;

fn picture(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::new(2, 2).save(path).unwrap();
}

fn dataset(paths: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        picture(&folder.path().join(path));
    }
    let root = folder.path().to_owned();
    (folder, root)
}

#[test]
fn folders_are_labels_and_folders_of_frames_are_clips() {
    let (_kept, root) = dataset(&["joy/2.png", "joy/10.png", "joy/clip/1.png", "anger/1.png"]);
    std::fs::write(root.join("joy/notes.txt"), "x").unwrap();
    let dataset = FolderDataset::open(&root, &FolderOptions::default()).unwrap();
    assert_eq!(dataset.labels, ["anger", "joy"]);
    let keys: Vec<&str> = dataset.items.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(keys, ["anger/1.png", "joy/2.png", "joy/10.png", "joy/clip"]);
    assert!(matches!(dataset.items[3].media, Media::Frames { .. }));
    assert_eq!(dataset.skipped, 1);
    assert!(!dataset.has_parts());
}

#[test]
fn labels_are_mapped_joined_and_left_out() {
    let (_kept, root) = dataset(&["happy/1.png", "glad/1.png", "odd/1.png", "fear/1.png"]);
    let labels = [("happy", "joy"), ("glad", "joy"), ("odd", "")];
    let labels = labels
        .map(|(folder, label)| (folder.to_owned(), label.to_owned()))
        .into();
    let mut options = FolderOptions { labels };
    let dataset = FolderDataset::open(&root, &options).unwrap();
    assert_eq!(dataset.labels, ["fear", "joy"]);
    assert_eq!(dataset.items.len(), 3);
    options
        .labels
        .insert("missing".to_owned(), "joy".to_owned());
    let error = FolderDataset::open(&root, &options).unwrap_err();
    assert!(
        matches!(error, FolderError::UnknownFolder { .. }),
        "{error}"
    );
}

#[test]
fn named_parts_are_kept_and_validation_stands_in_for_a_test() {
    let (_kept, root) = dataset(&["train/a/1.png", "train/b/1.png", "val/a/2.png"]);
    let mut dataset = FolderDataset::open(&root, &FolderOptions::default()).unwrap();
    assert!(dataset.has_parts());
    dataset.draw_test(0.5, 1).unwrap();
    assert_eq!(dataset.part(Split::Train).len(), 2);
    assert_eq!(dataset.part(Split::Test)[0].key, "val/a/2.png");
}

#[test]
fn a_drawn_test_part_is_stratified_and_repeatable() {
    let names: Vec<String> = (0..10)
        .flat_map(|index| [format!("a/{index}.png"), format!("b/{index}.png")])
        .chain(["c/alone.png".to_owned()])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_kept, root) = dataset(&names);
    let drawn = |seed| {
        let mut dataset = FolderDataset::open(&root, &FolderOptions::default()).unwrap();
        dataset.draw_test(0.3, seed).unwrap();
        dataset
    };
    let dataset = drawn(7);
    let tested = dataset.part(Split::Test);
    let count = |label| tested.iter().filter(|item| item.label == label).count();
    assert_eq!([count(0), count(1), count(2)], [3, 3, 0]);
    assert_eq!(dataset.part(Split::Train).len(), 15);
    assert_eq!(dataset, drawn(7));
    assert_ne!(dataset, drawn(8));
}

#[test]
fn what_is_no_dataset_is_named() {
    let (kept, root) = dataset(&["a/1.png"]);
    let options = FolderOptions::default();
    let message = |path: &Path| FolderDataset::open(path, &options).unwrap_err().to_string();
    assert!(message(&root.join("none")).contains("no such file or folder"));
    assert!(message(&root.join("a/1.png")).contains("not a folder"));
    assert!(message(&root.join("a")).contains("no folders of classes"));
    std::fs::write(root.join("a/2.png"), "").unwrap();
    assert!(message(&root).contains("2.png: the file is empty"));
    drop(kept);
}

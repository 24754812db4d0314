import pytest

from reprocnn.data.file_names import FileNames

IMAGES = ["train/cats/1.jpg", "train/dogs/1.jpg", "train/dogs/2.JPG", "more/2.5.png", "more/caf\u0065\u0301 1.png"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("train/cats/1.jpg", [0]),
        ("cats/1.jpg", [0]),
        ("cats/1", [0]),
        ("./cats/1.jpg", [0]),
        ("/data/pets/train/cats/1.jpg", [0]),
        ("C:\\pets\\train\\dogs\\1.jpg", [1]),
        ("1.jpg", [0, 1]),
        ("2.jpg", [2]),
        ("2", [2]),
        ("2.5", [3]),
        ("caf\u00e9 1.png", [4]),
        ("test/2.jpg", []),
        ("1.png", []),
        ("3", []),
        ("", []),
    ],
)
def test_a_value_names_the_images_whose_path_it_agrees_with(value: str, expected: list[int]) -> None:
    assert FileNames(IMAGES).find(value, "") == expected


def test_a_path_from_the_folder_of_the_table_takes_precedence() -> None:
    names = FileNames(["1.jpg", "a/1.jpg", "a/b/1.jpg"])
    assert [names.find("1.jpg", folder) for folder in ("", "a", "a/b")] == [[0], [1], [2]]
    assert names.find("1", "a") == [1]


def test_of_names_that_differ_in_case_the_equal_one_is_meant() -> None:
    names = FileNames(["a/x.png", "a/X.png"])
    assert (names.find("X.png", ""), names.find("x.PNG", "")) == ([1], [0, 1])

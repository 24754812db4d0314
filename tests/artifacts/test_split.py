from pathlib import Path

import numpy as np
import pytest

from reprocnn.artifacts.split import NpyWriter, read_split, rows_per_chunk, split_writer

IMAGES = np.arange(24, dtype=np.float32).reshape(4, 2, 3, 1)
LABELS = np.arange(4)


@pytest.mark.parametrize(("shape", "rows"), [((8, 8, 1), 4096), ((32, 32, 3), 4096), ((1024, 1024, 3), 5)])
def test_the_size_of_a_chunk_is_limited_in_bytes(shape: tuple[int, ...], rows: int) -> None:
    assert rows_per_chunk(shape) == rows


def test_npy_writer_writes_the_same_bytes_as_numpy(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    with NpyWriter(tmp_path / "a.npy", array.shape, np.float32) as writer:
        writer.append(array[:7])
        writer.append(array[7:])
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_npy_writer_refuses_a_wrong_dtype_and_a_wrong_number_of_rows(tmp_path: Path) -> None:
    with NpyWriter(tmp_path / "a.npy", (1, 2), np.float32) as writer:
        with pytest.raises(ValueError, match=r"Received: float64\[2\]"):
            writer.append(np.zeros((1, 2)))
        writer.append(np.zeros((1, 2), np.float32))
    with (
        pytest.raises(ValueError, match="Expected 2 rows. Received: 0"),
        NpyWriter(tmp_path / "b.npy", (2, 2), np.float32),
    ):
        pass


def test_a_split_is_read_back_with_memory_mapped_images(tmp_path: Path) -> None:
    with split_writer(tmp_path / "train", LABELS, (2, 3, 1), np.float32) as writer:
        writer.append(IMAGES[:3])
        writer.append(IMAGES[3:])
    images, labels = split = read_split(tmp_path / "train")
    assert isinstance(split.images, np.memmap)
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == split.labels.tolist() == [0, 1, 2, 3]


def test_a_split_with_too_few_images_does_not_appear(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="Expected 4 rows. Received: 3"),
        split_writer(tmp_path / "train", LABELS, (2, 3, 1), np.float32) as writer,
    ):
        writer.append(IMAGES[:3])
    assert not list(tmp_path.iterdir())

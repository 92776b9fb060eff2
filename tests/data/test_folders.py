"""One walk for training and for what a finished run is asked: links, hidden files, loops."""

from tljax.data import folders


def test_what_is_found_and_what_is_left_out(tmp_path):
    for name in ("a/1.png", "a/._1.png", "a/.hidden/2.png", "__MACOSX/3.png", "b.PNG", "c.txt", "deep/er/4.png"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.png").write_bytes(b"x")
    root = tmp_path / "root"
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / "deep" / "up").symlink_to(root / "deep")
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = [str(path.relative_to(root)) for path in folders.inside(root, {".png"})]
    assert found == ["a/1.png", "b.PNG", "deep/er/4.png", "link/5.png"]

package policies

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is a bundle's files as a file system in memory. The folders of a bundle are there
// even if they are empty.
type tree struct {
	files bundleContent
	dirs  map[string][]fs.DirEntry
}

var (
	_ fs.ReadDirFS  = tree{}
	_ fs.ReadFileFS = tree{}
)

func newTree(files bundleContent) tree {
	t := tree{files: files, dirs: map[string][]fs.DirEntry{".": nil}}
	for _, dir := range bundleDirs {
		t.add(dir, fs.ModeDir|0o555, 0)
		t.dirs[dir] = nil
	}
	for _, name := range files.names() {
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			if _, known := t.dirs[dir]; known {
				break
			}
			t.add(dir, fs.ModeDir|0o555, 0)
			t.dirs[dir] = nil
		}
		t.add(name, 0o444, len(files[name]))
	}
	for _, entries := range t.dirs {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

func (t tree) add(name string, mode fs.FileMode, size int) {
	dir := path.Dir(name)
	t.dirs[dir] = append(t.dirs[dir], fs.FileInfoToDirEntry(treeInfo{path.Base(name), mode, size}))
}

func (t tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if file, ok := t.files[name]; ok {
		return &treeFile{bytes.NewReader(file), treeInfo{path.Base(name), 0o444, len(file)}}, nil
	}
	if entries, ok := t.dirs[name]; ok {
		return &treeDir{treeInfo{path.Base(name), fs.ModeDir | 0o555, 0}, entries}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (t tree) ReadFile(name string) ([]byte, error) {
	if file, ok := t.files[name]; ok {
		return bytes.Clone(file), nil
	}
	if _, ok := t.dirs[name]; ok || !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

func (t tree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, ok := t.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(entries), nil
}

type treeInfo struct {
	name string
	mode fs.FileMode
	size int
}

func (i treeInfo) Name() string       { return i.name }
func (i treeInfo) Size() int64        { return int64(i.size) }
func (i treeInfo) Mode() fs.FileMode  { return i.mode }
func (i treeInfo) ModTime() time.Time { return time.Unix(0, 0).UTC() }
func (i treeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i treeInfo) Sys() any           { return nil }

type treeFile struct {
	*bytes.Reader
	info treeInfo
}

func (f *treeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *treeFile) Close() error               { return nil }

type treeDir struct {
	info treeInfo
	left []fs.DirEntry
}

func (d *treeDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *treeDir) Close() error               { return nil }

func (d *treeDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: fs.ErrInvalid}
}

func (d *treeDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.left) {
		if n > 0 && len(d.left) == 0 {
			return nil, io.EOF
		}
		n = len(d.left)
	}
	entries := slices.Clone(d.left[:n])
	d.left = d.left[n:]
	return entries, nil
}

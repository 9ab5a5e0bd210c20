package policies_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/mahrem/mahrem/policies"
)

func content(t testing.TB, bundle fs.FS) *policies.Content {
	t.Helper()
	c, err := policies.ReadBundle(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantRefusal fails unless err is a refusal with that word.
func wantRefusal(t *testing.T, err error, check string) {
	t.Helper()
	if refusal, ok := errors.AsType[*policies.Refusal](err); !ok || refusal.Check != check {
		t.Errorf("got %v, want %s", err, check)
	}
}

func TestContentIsAFileSystem(t *testing.T) {
	t.Parallel()
	bundle := fstest.MapFS{
		"rego/a.rego": {Data: []byte("a")}, "rego/gate/b.rego": {Data: []byte("b")}, "rego/gate/deep/c.rego": {},
		"catalogue/x.yaml": {Data: []byte("x")}, "cases/.keep": {}, policies.StatementFile: {Data: []byte("note")},
	}
	c := content(t, bundle)
	if err := fstest.TestFS(c.FS(), "rego/a.rego", "rego/gate/b.rego", "rego/gate/deep/c.rego", "catalogue/x.yaml", "cases", policies.StatementFile); err != nil {
		t.Error(err)
	}
	again := content(t, c.FS())
	if again.Digest() != c.Digest() || !bytes.Equal(again.AppendArchive(nil), c.AppendArchive(nil)) {
		t.Error("what is read back is another bundle")
	}
}

func TestArchiveIsTheBundle(t *testing.T) {
	t.Parallel()
	c := content(t, policies.Bundle())
	archive := c.AppendArchive(nil)
	again, err := policies.ParseArchive(archive)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != c.Digest() {
		t.Error("the digest is another one")
	}
	if !bytes.Equal(archive, again.AppendArchive(nil)) {
		t.Error("the same bundle has two archives")
	}
	t.Logf("%d bytes", len(archive))
}

// packed writes an archive as somebody else would.
func packed(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	w := tar.NewWriter(compressed)
	for _, header := range entries {
		body := header.Linkname
		if header.Typeflag == 0 {
			header.Typeflag, header.Linkname = tar.TypeReg, ""
			header.Size = int64(len(body))
		} else {
			body = ""
		}
		if header.Mode == 0 {
			header.Mode = 0o644
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParseArchiveTakesOneFormOnly(t *testing.T) {
	t.Parallel()
	file := func(name string) tar.Header { return tar.Header{Name: name, Linkname: "x", Format: tar.FormatUSTAR} }
	if _, err := policies.ParseArchive(packed(t, file("catalogue/a.yaml"), file("rego/a.rego"))); err != nil {
		t.Fatalf("what is right: %v", err)
	}
	good := content(t, policies.Bundle()).AppendArchive(nil)
	executable, pax, linked := file("rego/a.rego"), file("rego/a.rego"), file("rego/a.rego")
	executable.Mode = 0o755
	pax.Format, pax.PAXRecords = tar.FormatPAX, map[string]string{"MAHREM.x": "y"}
	linked.Typeflag, linked.Linkname = tar.TypeSymlink, "../../etc/passwd"
	for name, archive := range map[string][]byte{
		"nothing":             {},
		"not gzip":            []byte("rego"),
		"half":                good[:len(good)/2],
		"followed":            append(bytes.Clone(good), 'x'),
		"followed by another": append(bytes.Clone(good), good...),
		"twice":               packed(t, file("rego/a.rego"), file("rego/a.rego")),
		"two statements":      packed(t, file(policies.StatementFile), file(policies.StatementFile)),
		"upwards":             packed(t, file("rego/../../a.rego")),
		"from the root":       packed(t, file("/rego/a.rego")),
		"other folder":        packed(t, file("bin/a")),
		"no folder":           packed(t, file("a.rego")),
		"folder itself":       packed(t, tar.Header{Name: "rego/", Typeflag: tar.TypeDir, Format: tar.FormatUSTAR}),
		"file and folder":     packed(t, file("rego/a"), file("rego/a/b")),
		"hidden":              packed(t, file("rego/.a")),
		"odd letters":         packed(t, file("rego/a\n.rego")),
		"backslash":           packed(t, file(`rego/..\a`)),
		"link":                packed(t, linked),
		"wrong order":         packed(t, file("rego/b.rego"), file("rego/a.rego")),
		"statement last":      packed(t, file("rego/b.rego"), file(policies.StatementFile)),
		"executable":          packed(t, executable),
		"extensions":          packed(t, pax),
		"long statement":      packed(t, tar.Header{Name: policies.StatementFile, Linkname: strings.Repeat("x", 20<<10), Format: tar.FormatUSTAR}),
	} {
		_, err := policies.ParseArchive(archive)
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, policies.BundleMalformed) })
		if name == "twice" && !strings.Contains(err.Error(), "twice") {
			t.Errorf("a file that is in it twice: %v", err)
		}
	}
}

// TestParseArchiveIsNoBomb: what unpacks to more than a bundle may have is refused, and
// before it was unpacked.
func TestParseArchiveIsNoBomb(t *testing.T) {
	t.Parallel()
	many := make([]tar.Header, 2001)
	for i := range many {
		many[i] = tar.Header{Name: fmt.Sprintf("cases/%04d", i), Format: tar.FormatUSTAR}
	}
	if _, err := policies.ParseArchive(packed(t, many[:2000]...)); err != nil {
		t.Fatalf("2000 files: %v", err)
	}
	var zeros bytes.Buffer
	compressed := gzip.NewWriter(&zeros)
	for range 64 {
		if _, err := compressed.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	_ = compressed.Close()
	for name, archive := range map[string][]byte{
		"64 MiB of zeros": zeros.Bytes(),
		"too many files":  packed(t, many...),
		"33 MiB":          packed(t, tar.Header{Name: "cases/a", Linkname: strings.Repeat("x", 33<<20), Format: tar.FormatUSTAR}),
		"9 MiB wide":      make([]byte, 9<<20),
	} {
		_, err := policies.ParseArchive(archive)
		wantRefusal(t, err, policies.BundleMalformed)
		if err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadBundleDirStaysInside(t *testing.T) {
	t.Parallel()
	fresh := func() string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, policies.Bundle()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	want := content(t, policies.Bundle()).Digest()

	// A mounted volume: each file is a link into a hidden folder.
	dir := fresh()
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "rego", "..data"), 0o700),
		os.Rename(filepath.Join(dir, "rego", "plan.rego"), filepath.Join(dir, "rego", "..data", "plan.rego")),
		os.Symlink("..data/plan.rego", filepath.Join(dir, "rego", "plan.rego")),
		os.WriteFile(filepath.Join(dir, "README.md"), []byte("mine"), 0o600),
		os.WriteFile(filepath.Join(dir, "cases", ".swp"), []byte("mine"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if c, err := policies.ReadBundleDir(dir); err != nil || c.Digest() != want {
		t.Errorf("a volume of links: %v", err)
	}

	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(dir string) error{
		"link out":     func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "cases", "x")) },
		"dangling":     func(dir string) error { return os.Symlink("nothing", filepath.Join(dir, "cases", "x")) },
		"pipe":         func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "cases", "x"), 0o600) },
		"linked dir":   func(dir string) error { return os.Symlink("../rego", filepath.Join(dir, "cases", "x")) },
		"odd name":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "cases", "a b"), nil, 0o600) },
		"line feed":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "cases", "a\nb"), nil, 0o600) },
		"hole":         func(dir string) error { return sparse(filepath.Join(dir, "cases", "x"), 1<<40) },
		"no catalogue": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "catalogue")) },
		"pipe for a statement": func(dir string) error {
			return syscall.Mkfifo(filepath.Join(dir, policies.StatementFile), 0o600)
		},
	} {
		dir := fresh()
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		_, err := policies.ReadBundleDir(dir)
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, policies.BundleMalformed) })
	}
	_, err := policies.ReadBundleDir(filepath.Join(dir, "nothing"))
	wantRefusal(t, err, policies.BundleUnavailable)
}

func sparse(path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

func FuzzParseArchive(f *testing.F) {
	small := content(f, fstest.MapFS{"rego/a.rego": {Data: []byte("package a\n")}, "catalogue/b": {}, "cases/c/d.yaml": {Data: []byte("x")}})
	f.Add(small.AppendArchive(nil))
	f.Add(content(f, policies.Bundle()).AppendArchive(nil))
	f.Fuzz(func(t *testing.T, archive []byte) {
		c, err := policies.ParseArchive(archive)
		if err != nil {
			wantRefusal(t, err, policies.BundleMalformed)
			return
		}
		again, err := policies.ParseArchive(c.AppendArchive(nil))
		if err != nil || again.Digest() != c.Digest() {
			t.Errorf("what was read does not read again: %v", err)
		}
		if _, err := policies.ReadBundle(c.FS()); err != nil {
			t.Errorf("as a file system: %v", err)
		}
	})
}

// files returns everything that is in a bundle.
func files(t testing.TB, c *policies.Content) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(c.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[name], err = fs.ReadFile(c.FS(), name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func gunzip(t *testing.T, archive []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

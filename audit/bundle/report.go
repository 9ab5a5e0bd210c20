package bundle

import (
	"cmp"
	"slices"
	"sync"

	"github.com/mahrem/mahrem/audit"
)

// What is wrong with the files of a bundle, beyond what can be wrong with a log.
const (
	// FileMissing: the range or the manifest says that it is there.
	FileMissing audit.DamageKind = "file missing"
	// FileExtra: neither of them does.
	FileExtra audit.DamageKind = "file that does not belong"
	// FileCut and FileLonger: it ends too early, or too late.
	FileCut    audit.DamageKind = "file cut off"
	FileLonger audit.DamageKind = "file longer than it was"
	// FileAltered: it has its length and is another.
	FileAltered audit.DamageKind = "file altered"
	// FileSwapped: it is what belongs elsewhere.
	FileSwapped audit.DamageKind = "file swapped with another"
	// SignatureWrong: nobody whose key is known signed it.
	SignatureWrong audit.DamageKind = "not signed by a known key"
	// NoQuorum: too few witnesses cosigned the checkpoint for the policy that was demanded.
	NoQuorum audit.DamageKind = "checkpoint without a quorum of witnesses"
)

// Report is the outcome of [Verify].
type Report struct {
	// Report is what is said of every log. Its Size is the end of the entries.
	audit.Report
	// Origin names the log, and Range the part of it.
	Origin string
	Range  Range
	// OwnKeys is true if no key was given: then the bundle was checked with the keys that lie in
	// it, and says only that it is one piece.
	OwnKeys bool
	// Manifest is true if there is one, as in every directory.
	Manifest bool
	// Files is how many files belong to the bundle, if all is whole.
	Files uint64
	// ClockSetBack is how many entries say that the clock was set back.
	ClockSetBack uint64
	// NotChecked says what could not be, and why.
	NotChecked []string
	// Note is the checkpoint with its signatures, if one of the log's keys signed it.
	Note []byte
	// KeptUnchecked are those of [VerifyConfig.Kept], by their place in it, of which this part of
	// the log shows nothing: neither that it begins with them nor that it does not.
	KeptUnchecked []int
}

// maxDamages bounds a report; what comes later is only counted.
const maxDamages = 100

// findings gathers damages. It is safe for concurrent use.
type findings struct {
	mu   sync.Mutex
	list []audit.Damage
	more int
}

func (f *findings) found(d audit.Damage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.list, d) {
		return
	}
	if len(f.list) >= 10*maxDamages {
		f.more++
		return
	}
	f.list = append(f.list, d)
}

// sorted returns the first of them, and how many there are behind those.
func (f *findings) sorted() ([]audit.Damage, int) {
	slices.SortStableFunc(f.list, func(a, b audit.Damage) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Path, b.Path))
	})
	if n := len(f.list); n > maxDamages {
		return f.list[:maxDamages], f.more + n - maxDamages
	}
	return f.list, f.more
}

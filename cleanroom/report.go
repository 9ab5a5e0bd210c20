package cleanroom

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// Told is a run as the ledger has it: what somebody paid for, or was handed again.
type Told struct {
	Run      RunID
	Room     RoomID
	Consumer PartyID
	Question audit.Digest
	Datasets []DatasetRef
	Cost     Rho
	State    string // running, answered, failed, repeated
	At       time.Time
	// Answer is the digest of the answer, Stored that of the bytes that are kept; zero if
	// there is none.
	Answer, Stored audit.Digest
	// Activation is set if an audience was asked for: Audience is the digest of the list that
	// was handed out, zero if there were too few people.
	Activation bool
	Audience   audit.Digest
}

// ReadActivation sees from a stored answer whether an audience was asked for.
func (t *Told) ReadActivation(answer []byte) {
	var document struct {
		Activated *bool  `json:"activated"`
		List      string `json:"list_sha256"`
	}
	if len(answer) == 0 || json.Unmarshal(answer, &document) != nil || document.Activated == nil {
		return
	}
	t.Activation = true
	if list, err := hex.DecodeString(document.List); err == nil && len(list) == len(t.Audience) {
		t.Audience = audit.Digest(list)
	}
}

// Account is what a consumer has spent of a dataset's budget.
type Account struct {
	Left
	Consumer PartyID // empty if nobody has spent anything
}

// Described is a definition of personas that was charged to the budget of all personas, and
// what was told of it.
type Described struct {
	Name       string
	Version    int
	Definition audit.Digest
	Cost       Rho
	At         time.Time
	// Answer is the digest of the description, Stored that of the bytes that are kept; zero
	// before anything was told.
	Answer, Stored audit.Digest
}

// PersonaAccount is what personas have told, and what may be spent on them in all.
type PersonaAccount struct {
	Cap, Spent Rho
	Described  []Described
}

// Logged counts what the log says about rooms, by what each entry is about.
type Logged struct {
	Charged  map[audit.Digest]int // questions, and definitions of personas
	Released map[audit.Digest]int // answers
	// Activated are audiences that were handed out, Built descriptions of personas, Denied what
	// was refused.
	Activated, Built, Denied map[audit.Digest]int
	Admitted, Dropped        map[audit.Digest]int // manifests
}

// NewLogged returns one that has counted nothing.
func NewLogged() Logged {
	return Logged{
		map[audit.Digest]int{},
		map[audit.Digest]int{},
		map[audit.Digest]int{},
		map[audit.Digest]int{},
		map[audit.Digest]int{},
		map[audit.Digest]int{},
		map[audit.Digest]int{},
	}
}

// Add counts an entry.
func (l *Logged) Add(kind audit.Kind, list audit.Digest) {
	switch kind {
	case audit.RoomCharged:
		l.Charged[list]++
	case audit.RoomReleased:
		l.Released[list]++
	case audit.RoomActivated:
		l.Activated[list]++
	case audit.PersonaBuilt:
		l.Built[list]++
	case audit.RoomDenied:
		l.Denied[list]++
	case audit.SnapshotAdmitted:
		l.Admitted[list]++
	case audit.SnapshotDropped:
		l.Dropped[list]++
	}
}

// CompareSnapshots says which of all snapshots of all rooms came in or went without the log
// saying so, and of which the log says so that are not there: one line for each.
func CompareSnapshots(snapshots []Snapshot, logged Logged) []string {
	admitted, dropped := map[audit.Digest]int{}, map[audit.Digest]int{}
	for i := range snapshots {
		// What never came in leaves no entry, or only one about its end.
		if n := &snapshots[i]; !n.AdmittedAt.IsZero() {
			admitted[n.Manifest]++
			if n.State == SnapshotDropped {
				dropped[n.Manifest]++
			}
		}
	}
	faults := compareCounts("an admission of manifest", admitted, logged.Admitted)
	for digest, n := range dropped {
		if n > logged.Dropped[digest] {
			faults = append(faults, fmt.Sprintf("the end of manifest %x: %d in the rooms, %d in the log", digest[:8], n, logged.Dropped[digest]))
		}
	}
	slices.Sort(faults)
	return faults
}

// CompareWithLog says what in the ledgers of all rooms and personas does not agree with the log
// or with itself: one line for each, none if everything does. What runs at the moment may be
// ahead in either, so it is for a house that nobody asks.
func CompareWithLog(told []Told, accounts []Account, personas *PersonaAccount, logged Logged) []string {
	var faults []string
	charged, released := map[audit.Digest]int{}, map[audit.Digest]int{}
	activated, refused := map[audit.Digest]int{}, map[audit.Digest]int{}
	spent := map[DatasetRef]Rho{}
	type part struct {
		dataset  DatasetRef
		consumer PartyID
	}
	consumed := map[part]Rho{}
	for i := range told {
		t := &told[i]
		if t.State != "repeated" {
			charged[t.Question]++
			for _, d := range t.Datasets {
				spent[d] += t.Cost
				consumed[part{d, t.Consumer}] += t.Cost
			}
		}
		if t.State == "answered" || t.State == "repeated" {
			switch {
			case !t.Activation:
				released[t.Answer]++
			case t.Audience != (audit.Digest{}):
				activated[t.Answer]++
			default:
				refused[t.Answer]++ // the same answer for everybody
			}
			if t.Answer != t.Stored || t.Answer == (audit.Digest{}) {
				faults = append(faults, fmt.Sprintf("run %d: the answer that is kept is not the one that was given", t.Run))
			}
		}
	}
	faults = append(faults, personas.compare(charged, logged)...)
	faults = append(faults, compareCounts("a charge of question", charged, logged.Charged)...)
	faults = append(faults, compareCounts("an answer with digest", released, logged.Released)...)
	faults = append(faults, compareCounts("an audience with digest", activated, logged.Activated)...)
	for digest, n := range refused {
		if n != logged.Denied[digest] {
			faults = append(faults, fmt.Sprintf("audiences that were refused: %d in the ledger, %d in the log", n, logged.Denied[digest]))
		}
	}
	for _, a := range accounts {
		if a.Spent != spent[a.Dataset] {
			faults = append(faults, fmt.Sprintf("%s: its budget says that %d is spent, its charges are %d", a.Dataset, a.Spent, spent[a.Dataset]))
		}
		if a.Consumer != "" && a.Consumed != consumed[part{a.Dataset, a.Consumer}] {
			faults = append(faults, fmt.Sprintf("%s: the part of %s says that %d is spent, its charges are %d", a.Dataset, a.Consumer, a.Consumed, consumed[part{a.Dataset, a.Consumer}]))
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// compare adds the charges of personas to those of rooms, and says what else does not agree.
// That people got a label has an entry of the same kind, about the definition, so of what was
// told there must be one, and nothing is said of others.
func (p *PersonaAccount) compare(charged map[audit.Digest]int, logged Logged) []string {
	var faults []string
	var spent Rho
	for i := range p.Described {
		d := &p.Described[i]
		charged[d.Definition]++
		spent += d.Cost
		if d.Answer != d.Stored {
			faults = append(faults, fmt.Sprintf("personas %s, version %d: the description that is kept is not the one that was told", d.Name, d.Version))
		}
		if d.Answer != (audit.Digest{}) && logged.Built[d.Answer] == 0 {
			faults = append(faults, fmt.Sprintf("personas %s, version %d: what was told has no entry in the log", d.Name, d.Version))
		}
	}
	if spent != p.Spent {
		faults = append(faults, fmt.Sprintf("personas: their budget says that %d is spent, their charges are %d", p.Spent, spent))
	}
	return faults
}

func compareCounts(what string, ledger, log map[audit.Digest]int) []string {
	var faults []string
	for digest, n := range ledger {
		if n != log[digest] {
			faults = append(faults, fmt.Sprintf("%s %x: %d in the ledger, %d in the log", what, digest[:8], n, log[digest]))
		}
	}
	for digest, n := range log {
		if ledger[digest] == 0 {
			faults = append(faults, fmt.Sprintf("%s %x: none in the ledger, %d in the log", what, digest[:8], n))
		}
	}
	return faults
}

package assembly

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomReport is what rooms have told, at what privacy loss, to whom, and what is left.
type RoomReport struct {
	Told     []cleanroom.Told // of the room that was asked for, or of all
	Accounts []cleanroom.Account
	// Personas are described for a budget of their own.
	Personas *cleanroom.PersonaAccount
	// Begin is the first entry of the log that could be compared with: charges whose entries
	// were archived before are not, and then Faults says nothing.
	Begin, Entries uint64
	// Faults are where ledger and log do not agree; none is as it should be.
	Faults []string
}

// entriesAtOnce is how many entries are read of the log at a time.
const entriesAtOnce = 4096

// ReportRooms reads the ledger of rooms and compares it with the log, of which it reads every
// entry. That by reads the log is in the log first. progress may be nil.
func (h *House) ReportRooms(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, progress func(done, total uint64)) (*RoomReport, error) {
	if room != "" {
		if _, err := h.Rooms.Reader.RoomOf(ctx, room); err != nil {
			return nil, err
		}
	}
	if err := audit.NewReads(h.Log, 0, h.options.Now).Note(ctx, by); err != nil {
		return nil, err
	}
	told, err := h.Rooms.Reader.RoomRuns(ctx, "")
	if err != nil {
		return nil, err
	}
	snapshots, err := h.Rooms.Snapshots.Snapshots(ctx, "")
	if err != nil {
		return nil, err
	}
	report := &RoomReport{}
	if report.Accounts, err = h.Rooms.Reader.Accounts(ctx); err != nil {
		return nil, err
	}
	if report.Personas, err = h.PersonaStore().Account(ctx); err != nil {
		return nil, err
	}
	if report.Begin, err = h.Log.Begin(ctx); err != nil {
		return nil, err
	}
	if report.Entries, err = h.Log.Size(ctx); err != nil {
		return nil, err
	}
	logged := cleanroom.NewLogged()
	for from := report.Begin; from < report.Entries; {
		entries, err := h.Log.Entries(ctx, from, entriesAtOnce)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("reading the log: it ends at entry %d: %w", from, privacy.ErrDamaged)
		}
		for i := range entries {
			entry, err := audit.ParseEntry(entries[i].Leaf)
			if err != nil {
				return nil, fmt.Errorf("reading entry %d: %w", entries[i].Index, err)
			}
			logged.Add(entry.Kind, entry.List)
		}
		from += uint64(len(entries))
		if progress != nil {
			progress(from-report.Begin, report.Entries-report.Begin)
		}
	}
	if report.Begin == 0 {
		report.Faults = cleanroom.CompareWithLog(told, report.Accounts, report.Personas, logged)
		report.Faults = append(report.Faults, cleanroom.CompareSnapshots(snapshots, logged)...)
	}
	for _, t := range told {
		if room == "" || t.Room == room {
			report.Told = append(report.Told, t)
		}
	}
	return report, nil
}

package assembly

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/privacy"
)

// traces is how much there is of a person, and of their erasure.
type traces struct {
	Person, Erasing                                bool
	Wrapped                                        []byte
	Identifiers, Records, Chunks, Prints, Consents int
	OfRequest                                      bool // the request knows its person
	Steps, Tasks, Deliveries, Approvals, Holds     int
	Erasures, Suppressed, Withheld, WithheldKeys   int
	Swept                                          bool
	Sequence                                       int64
	LineHash                                       []byte
	KeyDigests                                     [][]byte
	Erasure                                        [16]byte
	EntriesInLog, NotedInLog, LedgerOf             int
}

const sqlTraces = `
select d.data_subject_id is not null, coalesce(d.erasing, false), k.wrapped,
	(select count(*) from vault.identifier x where x.data_subject_id = v.id),
	(select count(*) from vault.sealed_record x where x.data_subject_id = v.id),
	(select count(*) from vault.event_chunk x where x.data_subject_id = v.id),
	(select count(*) from vault.event_fingerprint x where x.data_subject_id = v.id),
	(select count(*) from consent.record x where x.data_subject_id = v.id),
	q.data_subject_id is not null,
	(select count(*) from dsar.request_step x where x.request_id = v.request and x.action = 'erase'),
	(select count(*) from dsar.processor_task x where x.request_id = v.request),
	(select count(*) from dsar.delivery x where x.request_id = v.request and x.destination = 'newsletter'),
	(select count(*) from dsar.approval x where x.request_id = v.request and x.plan_hash = v.plan),
	(select count(*) from dsar.hold_person x join dsar.hold o on o.hold_id = x.hold_id and o.released_at is null where x.data_subject_id = v.id),
	(select count(*) from dsar.erasure x where x.request_id = v.request),
	(select count(*) from dsar.suppression x where x.tag = v.tag and x.lifted_at is null),
	(select count(*) from dsar.withheld x where x.erasure_id = e.erasure_id),
	(select count(*) from dsar.withheld x join keyring.withheld_key using (withheld_id) where x.erasure_id = e.erasure_id),
	e.swept_at is not null, coalesce(e.ledger_sequence, 0), l.line_hash, e.key_digests,
	coalesce(e.erasure_id, '00000000-0000-0000-0000-000000000000'),
	case when e.log_index is not null then 1 else 0 end
from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) with ordinality v (id, request, plan, tag, place)
left join vault.data_subject d on d.data_subject_id = v.id
left join keyring.person_key k on k.data_subject_id = v.id
left join dsar.request q on q.request_id = v.request
left join dsar.erasure e on e.request_id = v.request
left join dsar.ledger l on l.sequence = e.ledger_sequence
order by v.place`

// look finds the traces of people, all of one moment.
func (w *killing) look(t *testing.T, people []*victim) []traces {
	t.Helper()
	var ids, requests [][16]byte
	var plans, tags [][]byte
	for _, v := range people {
		ids, requests = append(ids, v.id), append(requests, v.request)
		plans, tags = append(plans, v.plan[:]), append(tags, v.tag[:])
	}
	rows, err := w.owner.Query(t.Context(), sqlTraces, ids, requests, plans, tags)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s traces, err error) {
		return s, row.Scan(&s.Person, &s.Erasing, &s.Wrapped, &s.Identifiers, &s.Records, &s.Chunks, &s.Prints, &s.Consents, &s.OfRequest,
			&s.Steps, &s.Tasks, &s.Deliveries, &s.Approvals, &s.Holds, &s.Erasures, &s.Suppressed, &s.Withheld, &s.WithheldKeys,
			&s.Swept, &s.Sequence, &s.LineHash, &s.KeyDigests, &s.Erasure, &s.NotedInLog)
	})
	if err != nil || len(list) != len(people) {
		t.Fatal(len(list), err)
	}
	return list
}

// holdBroken looks for the lines that the killed process left without their commits, and
// now and then has somebody set a hold on whom such a line names, too late.
func (w *killing) holdBroken(t *testing.T) {
	t.Helper()
	behind, err := w.house.Behind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.broken += int(behind)
	if behind == 0 || w.random.IntN(4) == 0 {
		return
	}
	var last ledger.Record
	if err := w.house.Ledger.Missing(t.Context(), w.house.erased, func(r ledger.Record) error { last = r; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	for _, v := range w.open {
		if w.house.erasedTag(v.id) == last.Person {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			w.hold(ctx, v, dsar.HoldScope{})
			cancel()
			w.late++
		}
	}
}

// check looks at everybody who may have been erased since the last time.
func (w *killing) check(t *testing.T) {
	t.Helper()
	w.readLog(t)
	lines := map[ledger.Tag][]ledger.Record{}
	w.lines = 0
	if err := w.house.Ledger.Scan(t.Context(), func(r ledger.Record) error {
		w.lines++
		lines[r.Person] = append(lines[r.Person], r)
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	var left []*victim
	deep := w.random.IntN(len(w.open))
	w.erased = len(w.all) - len(w.open)
	for i, s := range w.look(t, w.open) {
		v := w.open[i]
		if s.Holds > 0 {
			v.held = true
		}
		ofPerson := lines[w.house.erasedTag(v.id)]
		s.LedgerOf, s.EntriesInLog = len(ofPerson), w.entries[v.plan]
		if len(ofPerson) == 0 {
			w.checkWhole(t, v, &s, (i+len(w.open)-deep)%len(w.open) < 4)
			left = append(left, v)
			continue
		}
		w.erased++
		w.checkErased(t, v, &s, &ofPerson[0])
		if !s.Swept {
			left = append(left, v)
		}
	}
	w.open, w.swept = left, false
	if t.Failed() {
		t.FailNow()
	}
}

// readLog counts the entries of erasures that came since the last time.
func (w *killing) readLog(t *testing.T) {
	t.Helper()
	for {
		stored, err := w.house.Log.Entries(t.Context(), w.nextEntry, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i := range stored {
			entry, err := audit.ParseEntry(stored[i].Leaf)
			if err != nil {
				t.Fatal(err)
			}
			if entry.Kind == audit.PersonErased {
				w.entries[entry.List]++
			}
		}
		w.nextEntry += uint64(len(stored))
		if len(stored) < 1000 {
			return
		}
	}
}

// checkWhole: nothing is missing, and nothing says that they were erased.
func (w *killing) checkWhole(t *testing.T, v *victim, s *traces, deep bool) {
	t.Helper()
	want := traces{
		Person: true, Wrapped: v.wrapped, Identifiers: 1, Records: 1, Chunks: v.chunks, Prints: v.chunks, Consents: 1,
		OfRequest: true, Approvals: 2, Holds: s.Holds,
	}
	if diff := cmp.Diff(want, *s); diff != "" {
		t.Errorf("somebody who is not in the ledger is not whole (-want +got):\n%s", diff)
		return
	}
	if v.held && s.Holds == 0 {
		t.Error("a hold that was set is gone")
	}
	if !deep || s.Holds > 0 {
		return
	}
	if id, err := w.house.People.ResolveIdentifier(t.Context(), v.identifier); err != nil || id != v.id {
		t.Errorf("the identifier of somebody whole: %v", err)
	}
	// Made again the plan is the same, so every record and event opens.
	planned, err := w.house.Eraser.Plan(t.Context(), firstOfficer, v.request)
	if err != nil || planned.Hash != v.plan || planned.Approvals != 2 || !planned.Receipt.IsZero() {
		t.Errorf("the plan does not fit any more: %d approvals, %v", planned.Approvals, err)
	}
	if diff := cmp.Diff(v.planned, planned.Plan); diff != "" || planned.Plan.Categories[0].Attributes != 2 {
		t.Errorf("plan (-before +after):\n%s", diff)
	}
}

// checkErased: everything is gone, once, and everything that says so is there.
func (w *killing) checkErased(t *testing.T, v *victim, s *traces, line *ledger.Record) {
	t.Helper()
	digest := sha256.Sum256(v.wrapped)
	want := traces{
		Person: !s.Swept, Erasing: !s.Swept, Approvals: 2, Steps: 1, Tasks: 1, Deliveries: 1,
		Erasures: 1, Suppressed: 1, Withheld: len(v.planned.Withheld), WithheldKeys: len(v.planned.Withheld), Swept: s.Swept,
		Sequence: int64(line.Sequence), LineHash: line.Hash[:], KeyDigests: [][]byte{digest[:]}, Erasure: line.Erasure,
		LedgerOf: 1, EntriesInLog: 1, NotedInLog: s.NotedInLog,
	}
	if !s.Swept { // the bytes that nothing opens any more
		want.Records, want.Chunks, want.Prints = 1, s.Chunks, s.Prints
	}
	if diff := cmp.Diff(want, *s); diff != "" {
		t.Errorf("somebody who is in the ledger is not erased to the end (-want +got):\n%s", diff)
		return
	}
	if w.swept && !s.Swept {
		t.Error("rows are left after a sweep")
	}
	if v.held || s.Holds > 0 {
		t.Error("somebody under a hold was erased")
	}
	if dsar.RequestID(line.Request) != v.request || audit.Digest(line.Plan) != v.plan || !slices.Equal(line.Suppressed, []ledger.Tag{v.tag}) {
		t.Error("the ledger has another erasure")
	}
	record, err := w.house.Eraser.ErasureOf(t.Context(), v.request)
	if err != nil || record.ID != dsar.ErasureID(line.Erasure) || record.Plan != v.plan || record.LogIndex >= w.nextEntry {
		t.Errorf("the record of the erasure: %v", err)
	}
	if diff := cmp.Diff(v.planned.Withheld, record.Withheld); diff != "" {
		t.Errorf("withheld (-planned +kept):\n%s", diff)
	}
	request, err := w.house.Requests.Find(t.Context(), v.request)
	if err != nil || request.ErasedAt.IsZero() || !request.DataSubject.IsZero() || request.State.Closed() {
		t.Errorf("the request is %s, %v", request.State, err)
	}
	if s.Swept && len(v.planned.Withheld) > 0 {
		w.checkWithheld(t, v, s.Erasure)
	}
}

// checkWithheld: what the law orders to keep opens under keys of its own.
func (w *killing) checkWithheld(t *testing.T, v *victim, erasure [16]byte) {
	t.Helper()
	rows, err := w.owner.Query(t.Context(), `
		select x.withheld_id, x.sealed, k.wrapped, array(select p.sealed from dsar.withheld_part p where p.withheld_id = x.withheld_id order by p.part)
		from dsar.withheld x join keyring.withheld_key k using (withheld_id) where x.erasure_id = $1`, erasure)
	if err != nil {
		t.Fatal(err)
	}
	var items, planned int64
	var s dsar.SealedWithheld
	_, err = pgx.ForEachRow(rows, []any{&s.ID, &s.Head, &s.Wrapped, &s.Parts}, func() error {
		kept, err := dsar.OpenWithheld(w.house.Keys.Vault(), &s)
		items += kept.Items
		if err == nil && len(kept.Record)+len(kept.Events) == 0 || bytes.Equal(s.Wrapped, v.wrapped) {
			err = privacy.ErrDamaged
		}
		return err
	})
	for _, part := range v.planned.Withheld {
		planned += part.Items
	}
	if err != nil || items != planned {
		t.Errorf("%d of %d things that are withheld open, %v", items, planned, err)
	}
	w.withheld++
}

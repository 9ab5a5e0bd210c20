package assembly

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/opendsrtest"
	"github.com/mahrem/mahrem/privacy"
)

// TestARequestGoesToAProcessorAndComesBack: two houses, the real protocol between them, in
// each of its versions.
func TestARequestGoesToAProcessorAndComesBack(t *testing.T) {
	t.Parallel()
	for _, version := range opendsr.Versions() {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			shop, processor, _ := pair(t, version)
			r := shop.open(dsar.Access)
			shop.take(r.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofJudgement})

			// What is not committed is not told.
			if shop.tell(r, errors.New("undone")); len(mustTasks(t, shop, r)) != 0 {
				t.Fatal("a task of a transaction that failed")
			}
			if told := shop.tell(r, nil); told != 1 {
				t.Fatalf("told %d", told)
			}
			if told := shop.tell(r, nil); told != 0 {
				t.Errorf("told again: %d", told)
			}
			shop.wantTask(r, opendsr.TaskQueued)

			// The answer gets lost: the processor has it once, and the next attempt hears so.
			processor.lose.Store(true)
			if arrived, failed := shop.send(); arrived != 0 || failed != 1 {
				t.Errorf("%d arrived, %d failed", arrived, failed)
			}
			processor.lose.Store(false)
			if arrived, _ := shop.send(); arrived != 1 {
				t.Error("the request did not arrive at the second attempt")
			}
			shop.wantTask(r, opendsr.TaskPending)
			theirs := processor.theirs()
			if theirs.Kind != dsar.Access || theirs.State != dsar.Received || theirs.DataSubject.IsZero() || theirs.Regime != "gdpr_cz" {
				t.Errorf("the processor got %+v", theirs)
			}

			// Each step that changes the status is told, once, in order, whenever somebody looks.
			processor.take(theirs.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofAttested})
			processor.take(theirs.ID, dsar.Move{Action: dsar.ActionNote, Note: privacy.NewPlain("nothing that anybody is told")})
			processor.take(theirs.ID, dsar.Move{Action: dsar.ActionFulfil, Evidence: audit.Digest{1}})
			if told, err := processor.OpenDSR.Desk.Tell(t.Context(), processor.Keys.Vault(), processor.random()); err != nil || told != 2 {
				t.Fatalf("told %d, %v", told, err)
			}
			if told, err := processor.OpenDSR.Desk.Tell(t.Context(), processor.Keys.Vault(), processor.random()); err != nil || told != 0 {
				t.Errorf("told again %d, %v", told, err)
			}
			for range 4 { // a callback that another one overtook is refused, and that is the end of it
				processor.send()
			}
			shop.wantTask(r, opendsr.TaskCompleted)
			if tasks := mustTasks(t, shop, r); !opendsr.AllSettled(tasks) {
				t.Error("not settled")
			}
		})
	}
}

// TestAnErasureIsTold: the transaction that destroys the key leaves the message, which names
// the person by the pseudonym that the recipient knows.
func TestAnErasureIsTold(t *testing.T) {
	t.Parallel()
	shop, processor, _ := pair(t, opendsr.V2)
	record, err := shop.EraseAtOnce(t.Context(), Operator("tester"), Operator("second"),
		privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.org")}, "CZ")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := shop.OpenDSR.Processors.Tasks(t.Context(), record.Request)
	if err != nil || len(tasks) != 1 || tasks[0].State != opendsr.TaskQueued || tasks[0].Kind != dsar.Erasure {
		t.Fatalf("%+v, %v", tasks, err)
	}
	if arrived, _ := shop.send(); arrived != 1 {
		t.Error("the message did not arrive")
	}
	// The address was the person's own when they were erased, so it went along.
	if theirs := processor.theirs(); theirs.Kind != dsar.Erasure || theirs.DataSubject.IsZero() || len(theirs.Tags) != 2 {
		t.Errorf("the processor got %+v", theirs)
	}
}

// TestADeniedRequestIsNotErased, and without callbacks the shop asks.
func TestADeniedRequestIsNotErased(t *testing.T) {
	t.Parallel()
	shop, processor, _ := pair(t, opendsr.V3)
	r := shop.open(dsar.Erasure)
	shop.tell(r, nil)
	shop.send()
	theirs := processor.theirs()
	processor.take(theirs.ID, dsar.Move{Action: dsar.ActionDeny, Denial: dsar.NoMatch})
	if answered, err := shop.OpenDSR.Sender.Poll(t.Context(), -time.Hour, 10); err != nil || answered != 1 {
		t.Fatalf("%d answered, %v", answered, err)
	}
	shop.wantTask(r, opendsr.TaskCancelled)
	task := shop.task(r)
	if task.PartsSkipped != 1 || task.Settled() {
		t.Errorf("%+v", task)
	}
	// Somebody decides not to wait, and says why.
	event := audit.Event{Kind: audit.RequestNoted, Outcome: audit.Done, Principal: Operator("tester")}
	if _, err := shop.OpenDSR.Processors.ListOpen(t.Context(), r.ID, "newsletter", [16]byte{1}, opendsr.CannotErase, event); err != nil {
		t.Fatal(err)
	}
	if task = shop.task(r); !task.Settled() || task.Acknowledged() {
		t.Errorf("%+v", task)
	}
	if _, err := shop.OpenDSR.Processors.ListOpen(t.Context(), r.ID, "newsletter", [16]byte{1}, opendsr.CannotErase, event); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("listed twice: %v", err)
	}
	if _, err := shop.OpenDSR.Processors.ListOpen(t.Context(), r.ID, "nobody", [16]byte{1}, opendsr.CannotErase, event); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("listed nobody: %v", err)
	}
}

// TestWhatIsToldOfAPerson: the pseudonym of the recipient, and no address that is not the
// person's own.
func TestWhatIsToldOfAPerson(t *testing.T) {
	t.Parallel()
	shop, processor, _ := pair(t, opendsr.V2)
	processor.load(`{"identifiers":[{"kind":"email","value":"victim@example.org"}],"jurisdiction":"CZ","attributes":{"first_name":"Jan"}}`)
	opened, err := shop.Requests.Open(t.Context(), Operator("tester"), dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaCLI,
		// The shop does not know this address, the processor does.
		Identifiers: []privacy.Identifier{{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("K-1")}, {Kind: privacy.Email, Value: privacy.NewPlain("victim@example.org")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	shop.tell(opened.Request, nil)
	shop.send()
	if theirs := processor.theirs(); !theirs.DataSubject.IsZero() || len(theirs.Tags) != 1 {
		t.Errorf("an address of somebody else was passed on: %+v", theirs)
	}
}

// TestCallbacksThatAreRefused, each by its name, with the name in the log.
func TestCallbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	shop, _, authority := pair(t, opendsr.V2)
	r := shop.open(dsar.Erasure)
	shop.tell(r, nil)
	shop.send()
	task := shop.task(r)
	signer := authority.Signer(t, processorDomain)
	setCertificate(t, shop, signer.Chain())
	other := authority.Signer(t, "opendsr.other.example")
	stranger := opendsrtest.NewAuthority(t, time.Now()).Signer(t, processorDomain)
	report := func(change func(*opendsr.Report)) []byte {
		report := opendsr.Report{
			Version: opendsr.V2, ControllerID: "shop", ID: task.ID, Status: opendsr.InProgress, ExpectedAt: time.Now().Add(time.Hour),
			CallbackURL: shop.address + callbackPath,
		}
		if change != nil {
			change(&report)
		}
		return report.Encode()
	}
	by := func(signer *opendsr.Signer, body []byte) opendsr.Signed {
		signature, err := signer.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		return opendsr.Signed{Domain: signer.Domain(), Signature: signature, Body: body}
	}
	callback := func(m opendsr.Signed) error { return shop.OpenDSR.Listener.Callback(t.Context(), m) }
	want := func(name string, m opendsr.Signed, check string) {
		t.Helper()
		_, before := last(t, shop.House)
		err := callback(m)
		refusal, ok := errors.AsType[*opendsr.Refusal](err)
		if check == opendsr.CheckReplay && err == nil {
			ok, refusal = true, &opendsr.Refusal{Check: check} // 202, and yet refused
		}
		if !ok || refusal.Check != check {
			t.Errorf("%s: %v, want a refusal by %s", name, err, check)
			return
		}
		entry, after := last(t, shop.House)
		if after != before+1 || entry.Kind != audit.RequestRefused || entry.Outcome != audit.Denied || !slices.Equal(entry.Checks, []string{check}) {
			t.Errorf("%s: the log says %s %v", name, entry.Kind, entry.Checks)
		}
	}
	good := by(signer, report(nil))
	changed := good
	changed.Body = []byte(strings.Replace(string(good.Body), "in_progress", "completed", 1))
	unsigned := good
	unsigned.Signature = ""
	renamed := by(other, good.Body)
	renamed.Domain = processorDomain
	want("no signature", unsigned, opendsr.CheckSigned)
	want("body changed", changed, opendsr.CheckSignature)
	want("forged", by(stranger, good.Body), opendsr.CheckSignature)
	want("another's signature", renamed, opendsr.CheckSignature)
	want("domain of nobody", by(other, good.Body), opendsr.CheckDomain)
	want("for another controller", by(signer, report(func(r *opendsr.Report) { r.CallbackURL = "https://other.example/opendsr/callbacks" })), opendsr.CheckCallbackOurs)
	want("another request", by(signer, report(func(r *opendsr.Report) { r.ID[0] ^= 1 })), opendsr.CheckRequestKnown)
	want("no report", by(signer, []byte(`{"request_status":"completed"}`)), opendsr.CheckField)
	want("no JSON", by(signer, []byte(`<xml/>`)), opendsr.CheckBody)
	shop.wantTask(r, opendsr.TaskPending)

	if err := callback(good); err != nil {
		t.Fatal(err)
	}
	shop.wantTask(r, opendsr.TaskInProgress)
	want("replayed", good, opendsr.CheckReplay)
	want("backward", by(signer, report(func(r *opendsr.Report) { r.Status = opendsr.Pending })), opendsr.CheckForward)
	if err := callback(by(signer, report(func(r *opendsr.Report) { r.Status = opendsr.Completed }))); err != nil {
		t.Fatal(err)
	}
	for _, status := range []opendsr.Status{opendsr.Pending, opendsr.InProgress, opendsr.Cancelled} {
		want("after the end", by(signer, report(func(r *opendsr.Report) { r.Status, r.ExpectedAt = status, time.Now().Add(2*time.Hour) })), opendsr.CheckForward)
	}
	want("replayed after the end", good, opendsr.CheckReplay)
	shop.wantTask(r, opendsr.TaskCompleted)

	// A certificate that has run out, and one of another authority, in the registry itself.
	for check, chain := range map[string][]byte{
		opendsr.CheckCertificateTime:   expired(t, authority),
		opendsr.CheckCertificateChain:  stranger.Chain(),
		opendsr.CheckCertificateDomain: other.Chain(),
	} {
		setCertificate(t, shop, chain)
		want("with another certificate", good, check)
	}
}

// TestACertificateThatWasReplacedIsFetched, but not for everybody who sends nonsense.
func TestACertificateThatWasReplacedIsFetched(t *testing.T) {
	t.Parallel()
	shop, _, authority := pair(t, opendsr.V2)
	event := audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done}
	if _, err := shop.OpenDSR.Processors.SetCertificate(t.Context(), "newsletter", string(expired(t, authority)), event); err != nil {
		t.Fatal(err)
	}
	r := shop.open(dsar.Erasure)
	shop.tell(r, nil)
	if arrived, failed := shop.send(); arrived != 1 || failed != 0 {
		t.Errorf("%d arrived, %d failed", arrived, failed)
	}
	shop.wantTask(r, opendsr.TaskPending)
}

// TestRequestsThatAreRefused as a processor.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	_, processor, _ := pair(t, opendsr.V2)
	desk := processor.OpenDSR.Desk
	controller := privacy.Principal{ID: "any token", Role: privacy.RoleService, Recipient: "web_shop"}
	id, err := opendsr.ParseSubjectRequestID("a7551968-d5d6-44b2-9831-815ac9017798")
	if err != nil {
		t.Fatal(err)
	}
	request := opendsr.Request{
		Version: opendsr.V2, Regulation: "gdpr", ID: id, Kind: dsar.Erasure, SubmittedAt: time.Now(),
		Identities: []opendsr.Identity{{Type: opendsr.EmailIdentity, Format: opendsr.Raw, Value: privacy.NewPlain("nobody@example.org")}},
	}
	accept := func(by privacy.Principal, change func(*opendsr.Request)) error {
		r := request
		if change != nil {
			change(&r)
		}
		_, err := desk.Accept(t.Context(), by, opendsr.V2, r.Encode())
		return err
	}
	want := func(name string, err error, check string) {
		t.Helper()
		refusal, ok := errors.AsType[*opendsr.Refusal](err)
		entry, _ := last(t, processor.House)
		if !ok || refusal.Check != check || entry.Kind != audit.RequestRefused || !slices.Equal(entry.Checks, []string{check}) {
			t.Errorf("%s: %v; the log says %s %v", name, err, entry.Kind, entry.Checks)
		}
	}
	want("a token of somebody else", accept(privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: "recommender"}, nil), opendsr.CheckControllerKnown)
	want("an officer", accept(Operator("tester"), nil), opendsr.CheckControllerKnown)
	for _, address := range []string{"https://127.0.0.1/opendsr/callbacks", "https://169.254.169.254/latest", "https://evil.example/opendsr/callbacks"} {
		want("a callback that was not agreed", accept(controller, func(r *opendsr.Request) { r.Callbacks = []string{address} }), opendsr.CheckCallbackAllowed)
	}
	want("a digest", accept(controller, func(r *opendsr.Request) { r.Identities = []opendsr.Identity{r.Identities[0].Hashed()} }), opendsr.CheckIdentity)
	want("no address", accept(controller, func(r *opendsr.Request) { r.Identities[0].Value = privacy.NewPlain("no address") }), opendsr.CheckIdentity)
	request.Identities[0].Value = privacy.NewPlain("nobody@example.org")

	if err := accept(controller, nil); err != nil {
		t.Fatal(err)
	}
	want("the same id", accept(controller, nil), opendsr.CheckDuplicate)
	want("the same id for somebody else", accept(controller, func(r *opendsr.Request) { r.Kind = dsar.Access }), opendsr.CheckDuplicate)
	other := id
	other[0] ^= 1
	_, err = desk.Status(t.Context(), controller, opendsr.V2, other)
	want("an id that nobody sent", err, opendsr.CheckRequestKnown)

	// Cancelled while it is pending, by whatever token of the controller, and once.
	if _, err := desk.Cancel(t.Context(), privacy.Principal{ID: "another token", Role: privacy.RoleService, Recipient: "web_shop"}, opendsr.V2, id); err != nil {
		t.Fatal(err)
	}
	_, err = desk.Cancel(t.Context(), controller, opendsr.V2, id)
	want("cancelled twice", err, opendsr.CheckCancellable)
	// Known and unknown people get answers of the same shape.
	reply, err := desk.Status(t.Context(), controller, opendsr.V2, id)
	if report, parseErr := opendsr.ParseReport(reply.Body, false); err != nil || parseErr != nil || report.Status != opendsr.Cancelled {
		t.Errorf("%s, %v, %v", reply.Body, err, parseErr)
	}
}

// TestAProcessorThatRefusesIsShown: 400 is the end, and everybody can see it.
func TestAProcessorThatRefusesIsShown(t *testing.T) {
	t.Parallel()
	shop, processor, _ := pair(t, opendsr.V2)
	event := audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done}
	if _, err := processor.OpenDSR.Controllers.RetireController(t.Context(), "shop", event); err != nil {
		t.Fatal(err)
	}
	r := shop.open(dsar.Erasure)
	shop.tell(r, nil)
	if arrived, failed := shop.send(); arrived != 0 || failed != 1 {
		t.Errorf("%d arrived, %d failed", arrived, failed)
	}
	shop.wantTask(r, opendsr.TaskQueued) // 403 may end: somebody has to see to the token
	if _, err := shop.OpenDSR.Processors.Retire(t.Context(), "newsletter", event); err != nil {
		t.Fatal(err)
	}
	shop.send()
	shop.wantTask(r, opendsr.TaskUndeliverable)
	if opendsr.AllSettled(mustTasks(t, shop, r)) {
		t.Error("what was never told counts as settled")
	}
}

package dsar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Filter picks requests; its zero value picks all that are open.
type Filter struct {
	Kind  Kind
	State State
	// Category picks complaints.
	Category Category
	// DataSubject is whom they are about.
	DataSubject privacy.DataSubjectID
	// Overdue picks those whose period has passed at this moment; zero picks all.
	Overdue time.Time
	// All includes those that are closed, and turns the order: the newest first.
	All bool
	// After is the last request of the page before.
	After RequestID
}

// Totals counts open requests.
type Totals struct {
	Open    int64 `json:"open"`
	Overdue int64 `json:"overdue"`
	// Waiting have no day by which they are due, because their clock stands still.
	Waiting int64 `json:"waiting"`
}

// MaxListed bounds one page of the queue.
const MaxListed = 1000

// Page is one page of the queue.
type Page struct {
	Requests []Request
	Totals   Totals
	// At is the moment by which days are counted.
	At time.Time
	// More: there are requests after the last one of this page.
	More bool
}

// Queue lists requests to a data protection officer or an auditor. It names nobody.
// Errors: [privacy.ErrForbidden]; [privacy.FieldError], if After is no request.
func (s *Service) Queue(ctx context.Context, by privacy.Principal, filter Filter, limit int) (Page, error) {
	if !mayRead(by) {
		return Page{}, fmt.Errorf("listing requests: %w", privacy.ErrForbidden)
	}
	if limit < 1 || limit > MaxListed {
		return Page{}, &privacy.FieldError{Pointer: "/limit", Reason: fmt.Sprintf("must be from 1 to %d", MaxListed)}
	}
	page := Page{At: s.now()}
	if !filter.Overdue.IsZero() {
		filter.Overdue = page.At
	}
	var err error
	if page.Totals, err = s.store.Totals(ctx, page.At); err != nil {
		return Page{}, fmt.Errorf("listing requests: %w", err)
	}
	page.Requests, err = s.store.Queue(ctx, filter, limit+1)
	if errors.Is(err, privacy.ErrNotFound) {
		return Page{}, &privacy.FieldError{Pointer: "/after", Reason: "is not a request"}
	}
	if err != nil {
		return Page{}, fmt.Errorf("listing requests: %w", err)
	}
	if page.More = len(page.Requests) > limit; page.More {
		page.Requests = page.Requests[:limit]
	}
	return page, nil
}

func mayRead(by privacy.Principal) bool {
	return by.ID != "" && (by.Role == privacy.RoleDPO || by.Role == privacy.RoleAuditor)
}

// ShownStep is a step with what belongs to it.
type ShownStep struct {
	Step
	Detail Detail
}

// Shown is everything about one request.
type Shown struct {
	Request
	// At is the moment by which days are counted.
	At time.Time
	// Article is where the law has the reason of a denial.
	Article    string
	Duplicates []RequestID
	Steps      []ShownStep
	// Contents and the details of the steps are empty unless Opened.
	Opened   bool
	Contents Contents
	// Receipt is of the entry that says it was shown; zero unless Opened.
	Receipt audit.Receipt
}

// Show returns a request to a data protection officer, with what the requester wrote and
// after the log says so, and to an auditor without it. Errors: [privacy.ErrForbidden],
// [privacy.ErrNotFound], [privacy.ErrDamaged].
func (s *Service) Show(ctx context.Context, by privacy.Principal, id RequestID) (Shown, error) {
	if !mayRead(by) {
		return Shown{}, fmt.Errorf("showing a request: %w", privacy.ErrForbidden)
	}
	r, err := s.store.Find(ctx, id)
	if err != nil {
		return Shown{}, fmt.Errorf("showing a request: %w", err)
	}
	shown := Shown{Request: r, At: s.now()}
	shown.Article, _ = r.Denial.Article(r.Regime, r.Kind)
	if shown.Duplicates, err = s.store.Duplicates(ctx, id); err != nil {
		return Shown{}, fmt.Errorf("showing a request: %w", err)
	}
	steps, err := s.store.Steps(ctx, id)
	if err != nil {
		return Shown{}, fmt.Errorf("showing a request: %w", err)
	}
	for _, step := range steps {
		shown.Steps = append(shown.Steps, ShownStep{Step: step})
	}
	if by.Role != privacy.RoleDPO {
		return shown, nil
	}
	if err := s.openShown(ctx, by, &shown); err != nil {
		return Shown{}, err
	}
	return shown, nil
}

func (s *Service) openShown(ctx context.Context, by privacy.Principal, shown *Shown) error {
	r := &shown.Request
	key, err := s.Key(ctx, r.ID)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil // its key was destroyed: that it was handled is all that is left
	}
	if err != nil {
		return err
	}
	subject, err := s.subject(ctx, r.DataSubject)
	if err != nil {
		return err
	}
	shown.Receipt, err = s.log.Append(ctx, audit.Event{
		Kind: audit.PersonShown, Outcome: audit.Done, Principal: by, Subject: subject,
		List: StepDigest(r.ID, r.Version, "show", audit.Digest{}),
	})
	if err != nil {
		return fmt.Errorf("logging that a request was shown: %w", err)
	}
	if r.Sealed != nil {
		if shown.Contents, err = OpenContents(key, r.Sealed); err != nil {
			return err
		}
	}
	for i := range shown.Steps {
		if shown.Steps[i].Detail, err = OpenDetail(key, &shown.Steps[i].Step); err != nil {
			return err
		}
	}
	shown.Opened = true
	return nil
}

// Status is what a service may know of a request that it opened: whether it is over. What
// was decided, and by when, would tell whether the person is known.
type Status struct {
	ID         RequestID
	Kind       Kind
	Closed     bool
	ReceivedAt time.Time
	ClosedAt   time.Time
}

// Poll tells a service of its own request. Somebody else's is not found.
func (s *Service) Poll(ctx context.Context, by privacy.Principal, id RequestID) (Status, error) {
	if by.ID == "" || by.Role != privacy.RoleService {
		return Status{}, fmt.Errorf("asking about a request: %w", privacy.ErrForbidden)
	}
	r, err := s.store.Find(ctx, id)
	if err != nil {
		return Status{}, fmt.Errorf("asking about a request: %w", err)
	}
	if r.OpenedBy != s.vault.ActorTag(by) {
		return Status{}, fmt.Errorf("asking about another's request: %w", privacy.ErrNotFound)
	}
	return Status{r.ID, r.Kind, r.State.Closed(), r.ReceivedAt, r.ClosedAt}, nil
}

// Package iystest is a registry of messages (İYS) on this machine, for tests. It behaves as
// the developer documentation of the registry says (dev.iys.org.tr, "İzin Doğrulama
// Kuralları" and the pages of the methods), from an implementation of its own, so that a
// mistake in ours is not believed by both sides.
//
// The documentation gives codes for some errors only: H111, H113, H114, H155, H501. Where it
// gives none, this registry answers [NoCode] and the words of the rule.
package iystest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// NoCode is the code of errors for which the documentation gives none.
const NoCode = "H000"

// Record is one consent in the registry.
type Record struct {
	ConsentDate    string  `json:"consentDate,omitempty"`
	CreationDate   string  `json:"creationDate,omitempty"`
	Source         string  `json:"source,omitempty"`
	Recipient      string  `json:"recipient"`
	RecipientType  string  `json:"recipientType"`
	Status         string  `json:"status"`
	Type           string  `json:"type"`
	TransactionID  string  `json:"transactionId,omitempty"`
	RetailerCode   int64   `json:"retailerCode,omitempty"`
	RetailerAccess []int64 `json:"retailerAccess,omitempty"`
}

// Error is one line of a refusal.
type Error struct {
	Code     string   `json:"code"`
	Location []string `json:"location,omitempty"`
	Value    string   `json:"value,omitempty"`
	Message  string   `json:"message"`
}

// Registry is the registry of one sender with one brand. Fields are set before its handler
// is used.
type Registry struct {
	// Sender and Brand are the numbers in paths; 100 and 200 unless they are set.
	Sender, Brand int64
	// User and Password are those of the only account; "user" and "secret" unless set.
	User, Password string
	// Now is the clock; time.Now.
	Now func() time.Time
	// Activated is until when old consents are taken; zero: it is past.
	Activated time.Time
	// Oldest is the oldest date that is taken after that; nil: any.
	Oldest func(now time.Time) time.Time
	// PageSize is how many movements are in an answer; 100.
	PageSize int
	// TokenLife is how long a token works; two hours.
	TokenLife time.Duration
	// Slow is how often a batch says enqueue before it says how it went.
	Slow int
	// Fail, if it is set, may answer a request with a status and a Retry-After instead.
	Fail func(method, path string) (status int, retryAfter string)

	mu        sync.Mutex
	held      map[string]Record
	movements []movement
	tokens    map[string]time.Time
	batches   map[string]*batch
	count     int
	calls     []string
}

type movement struct {
	Record
	at        time.Time
	recipient bool // done at the registry
}

type batch struct {
	results []result
	asked   int
}

type result struct {
	Index         int    `json:"index"`
	Status        string `json:"status"`
	SubrequestID  string `json:"subrequestId"`
	TransactionID string `json:"transactionId,omitempty"`
	CreationDate  string `json:"creationDate,omitempty"`
	Error         *Error `json:"error,omitempty"`
}

const layout = "2006-01-02 15:04:05"

var turkey = time.FixedZone("GMT+3", 3*60*60)

func (r *Registry) now() time.Time {
	if r.Now == nil {
		return time.Now().In(turkey)
	}
	return r.Now().In(turkey)
}

func key(recipient, recipientType, kind string) string {
	return recipient + "|" + recipientType + "|" + kind
}

// Held returns what the registry holds about one recipient.
func (r *Registry) Held(recipient, recipientType, kind string) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, ok := r.held[key(recipient, recipientType, kind)]
	return held, ok
}

// Calls returns method and path of every request, oldest first.
func (r *Registry) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Say is what a recipient says at the registry itself: it is not bound by the rules for
// senders.
func (r *Registry) Say(record Record) Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store(record, true)
}

// Put is what a sender reported at some time before the test began.
func (r *Registry) Put(record Record) Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store(record, false)
}

func (r *Registry) store(record Record, recipient bool) Record {
	if r.held == nil {
		r.held = map[string]Record{}
	}
	r.count++
	if record.CreationDate == "" {
		record.CreationDate = r.now().Format(layout)
	}
	record.TransactionID = fmt.Sprintf("%064x", r.count)
	at, err := time.ParseInLocation(layout, record.CreationDate, turkey)
	if err != nil {
		panic("iystest: creation date: " + err.Error())
	}
	r.held[key(record.Recipient, record.RecipientType, record.Type)] = record
	r.movements = append(r.movements, movement{record, at, recipient})
	return record
}

var senderSources = strings.Fields(`HS_FIZIKSEL_ORTAM HS_ISLAK_IMZA HS_WEB HS_CAGRI_MERKEZI HS_SOSYAL_MEDYA
	HS_EPOSTA HS_MESAJ HS_MOBIL HS_EORTAM HS_ETKINLIK HS_2015 HS_ATM HS_KARAR`)

// judge says why the registry does not take a consent; nothing: it does.
func (r *Registry) judge(c Record) []Error {
	var list []Error
	no := func(field, code, message string) {
		list = append(list, Error{Code: code, Location: []string{field}, Message: message})
	}
	merchant := c.RecipientType == "TACIR"
	isEmail := c.Type == "EPOSTA"
	if isEmail || c.Type == "ARAMA" || c.Type == "MESAJ" {
		mail := strings.Count(c.Recipient, "@") == 1 && !strings.HasPrefix(c.Recipient, "@") && !strings.HasSuffix(c.Recipient, "@")
		phone := len(c.Recipient) >= 9 && strings.HasPrefix(c.Recipient, "+") && strings.Trim(c.Recipient[1:], "0123456789") == ""
		if isEmail && !mail || !isEmail && !phone {
			no("recipient", "H114", "Alıcı (recipient) bulunamadı.")
		}
	} else {
		no("type", "H111", "İzin tipi (type) bulunamadı.")
		if c.Recipient == "" {
			no("recipient", "H114", "Alıcı (recipient) bulunamadı.")
		}
	}
	if !merchant && c.RecipientType != "BIREYSEL" {
		no("recipientType", NoCode, "unknown kind of recipient")
	}
	if c.Status != "ONAY" && c.Status != "RET" {
		no("status", NoCode, "unknown status")
	}
	if !slices.Contains(senderSources, c.Source) && !(merchant && c.Source == "") {
		no("source", "H113", "İzin kaynağı (source) bulunamadı.")
	}
	held, known := r.held[key(c.Recipient, c.RecipientType, c.Type)]
	r.judgeDate(c, held, known, merchant, no)
	switch {
	case c.Status == "RET" && !known:
		no("status", NoCode, "RET without an earlier ONAY")
	case known && held.Status == c.Status:
		no("status", NoCode, c.Status+" after "+c.Status)
	}
	return list
}

func (r *Registry) judgeDate(c, held Record, known, merchant bool, no func(field, code, message string)) {
	const first = "2015-05-01 00:00:00"
	if c.Source == "HS_2015" && c.ConsentDate != first {
		no("consentDate", NoCode, "HS_2015 with another date")
	}
	if c.ConsentDate == "" && merchant {
		return
	}
	date, err := time.ParseInLocation(layout, c.ConsentDate, turkey)
	if err != nil {
		no("consentDate", NoCode, "not a date")
		return
	}
	now := r.now()
	switch {
	case c.ConsentDate < first:
		no("consentDate", "H155", "İzin tarihi (consentDate) için 2015-05-01 00:00:00 tarihinden önceki tarihler girilmemelidir.")
	case date.After(now):
		no("consentDate", NoCode, "date in the future")
	case now.After(r.Activated) && r.Oldest != nil && date.Before(r.Oldest(now)):
		no("consentDate", NoCode, "older than three business days")
	}
	if known && c.ConsentDate <= held.ConsentDate {
		no("consentDate", NoCode, "not later than what is held")
	}
}

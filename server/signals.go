package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/consent/signal/gpc"
	"github.com/mahrem/mahrem/privacy"
)

// signalsRequest is what a visitor's browser and page sent, passed on as it came. What a
// visitor sends is never an error here: only the shape is the caller's to get right.
type signalsRequest struct {
	SecGPC      []string            `json:"sec_gpc"`
	TCF         string              `json:"tcf"`
	GPP         string              `json:"gpp"`
	ConsentMode *consentModeRequest `json:"consent_mode"`
}

type consentModeRequest struct {
	AdPersonalization      string `json:"ad_personalization"`
	AdStorage              string `json:"ad_storage"`
	AdUserData             string `json:"ad_user_data"`
	AnalyticsStorage       string `json:"analytics_storage"`
	FunctionalityStorage   string `json:"functionality_storage"`
	PersonalizationStorage string `json:"personalization_storage"`
	SecurityStorage        string `json:"security_storage"`
}

func (r *consentModeRequest) values() map[string]string {
	if r == nil {
		return nil
	}
	values := map[string]string{}
	for key, value := range map[string]string{
		"ad_personalization": r.AdPersonalization, "ad_storage": r.AdStorage, "ad_user_data": r.AdUserData,
		"analytics_storage": r.AnalyticsStorage, "functionality_storage": r.FunctionalityStorage,
		"personalization_storage": r.PersonalizationStorage, "security_storage": r.SecurityStorage,
	} {
		if value != "" {
			values[key] = value
		}
	}
	return values
}

// hear reads the signals of a visitor. What is not understood is counted, and logged with its
// reason; a reason is a word and holds nothing of the signal.
func (c *call) hear(request *signalsRequest) *signal.Reading {
	if request == nil {
		return nil
	}
	reading := signal.Read(signal.Given{
		SecGPC: request.SecGPC, TCF: request.TCF, GPP: request.GPP, ConsentMode: request.ConsentMode.values(),
	})
	for _, r := range reading.Rejections {
		c.server.metrics.rejected(rejection{string(r.Signal), string(r.Reason)})
		c.server.config.Log.Warn("signal not understood", "request", c.requestID, "signal", string(r.Signal),
			"section", r.Section, "reason", string(r.Reason))
	}
	return reading
}

// rejection labels the count of signals that were not understood. Both words are the
// readers' own, so the series are bounded.
type rejection struct{ signal, reason string }

func (m *metrics) rejected(r rejection) {
	m.mu.Lock()
	m.rejections[r]++
	m.mu.Unlock()
}

func (m *metrics) appendRejections(b []byte) []byte {
	b = appendFamily(b, "mahrem_signals_rejected_total", "counter", "Consent signals that were not understood, by signal and reason.")
	m.mu.RLock()
	defer m.mu.RUnlock()
	for r, n := range m.rejections {
		b = append(b, "mahrem_signals_rejected_total"...)
		b = appendLabels(b, "signal", r.signal, "reason", r.reason)
		b = append(strconv.AppendUint(b, n, 10), '\n')
	}
	return b
}

// SignalRecorder records what signals say about a person; [signal.Recorder] is one.
type SignalRecorder interface {
	Record(ctx context.Context, by privacy.Principal, seen signal.Sighting) ([]signal.Result, error)
}

// sightingRequest is a signal as the caller saw it, about one person.
type sightingRequest struct {
	DataSubject   refRequest     `json:"data_subject"`
	Signals       signalsRequest `json:"signals"`
	NoticeVersion string         `json:"notice_version" validate:"max=64"`
	EvidenceRef   string         `json:"evidence_ref" validate:"max=128"`
	Language      string         `json:"language" validate:"max=35"`
	Jurisdiction  string         `json:"jurisdiction" validate:"max=32"`
}

func (r *sightingRequest) check() []fieldProblem { return r.DataSubject.check() }

func recordSignals(ctx context.Context, c *call, request *sightingRequest) (signalsAnswer, error) {
	recorder := c.server.services.Signals
	if recorder == nil {
		return signalsAnswer{}, refuse(unavailable)
	}
	seen := signal.Sighting{
		Reading: c.hear(&request.Signals), NoticeVersion: request.NoticeVersion, EvidenceRef: request.EvidenceRef,
		Language: request.Language, Jurisdiction: privacy.Jurisdiction(request.Jurisdiction),
	}
	var err error
	if seen.DataSubject, err = c.find(ctx, request.DataSubject.ref()); err != nil {
		return signalsAnswer{}, err
	}
	results, err := recorder.Record(ctx, c.principal, seen)
	for i := range results {
		if err == nil && results[i].Outcome == signal.Recorded && results[i].Receipt.IsZero() {
			err = errors.New("a signal was recorded without evidence")
		}
	}
	return signalsAnswer{results, seen.Reading.Rejections}, err
}

type signalsAnswer struct {
	results    []signal.Result
	rejections []signal.Rejection
}

// appendJSON gives the token of the newest record once: a query that carries it has seen
// all of them.
func (a signalsAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(appendKey(append(b, '{'), "results"), '[')
	var newest *consent.Receipt
	for i := range a.results {
		r := &a.results[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "purpose"), string(r.Purpose))
		b = appendString(appendKey(b, "signal"), string(r.Signal))
		b = appendString(appendKey(b, "outcome"), string(r.Outcome))
		if r.Outcome == signal.Recorded {
			b = appendString(appendKey(b, "action"), string(r.Action))
			b = appendLog(appendKey(b, "log"), r.Receipt.Receipt)
			if newest == nil || r.Receipt.Token.Index() > newest.Token.Index() {
				newest = &r.Receipt
			}
		}
		b = append(b, '}')
	}
	b = append(appendKey(append(b, ']'), "rejected"), '[')
	for i, r := range a.rejections {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "signal"), string(r.Signal))
		if r.Section != "" {
			b = appendString(appendKey(b, "section"), r.Section)
		}
		b = append(appendString(appendKey(b, "reason"), string(r.Reason)), '}')
	}
	b = append(b, ']')
	if newest != nil {
		b = appendString(appendKey(b, "consent_token"), newest.Token.String())
	}
	return append(b, '}'), nil
}

// gpcSince is when the house began to listen to Global Privacy Control.
var gpcSince = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func showGPC(_ context.Context, c *call) error {
	c.write(http.StatusOK, headerJSON, gpc.Support(gpcSince))
	return nil
}

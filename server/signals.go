package server

import (
	"strconv"

	"github.com/mahrem/mahrem/consent/signal"
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

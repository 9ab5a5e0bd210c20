package subscriber

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Topic is that of every delivery to a subscriber.
const Topic = "consent_changed"

// payload is what a delivery holds, sealed: whose standing is to be told. The rest is read
// when it is sent.
type payload struct {
	DataSubject string          `json:"data_subject"`
	Purpose     privacy.Purpose `json:"purpose"`
	Channel     privacy.Channel `json:"channel"`
}

func (p payload) encode() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding delivery to a subscriber: %w", err)
	}
	return text, nil
}

// decodePayload reads what encode wrote, or fails with an error that wraps
// [privacy.ErrDamaged] and repeats nothing of it.
func decodePayload(text []byte) (payload, privacy.DataSubjectID, error) {
	var p payload
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&p) != nil || p.Purpose == "" || p.Channel == "" {
		return payload{}, privacy.DataSubjectID{}, fmt.Errorf("reading delivery to a subscriber: %w", privacy.ErrDamaged)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return payload{}, privacy.DataSubjectID{}, fmt.Errorf("reading delivery to a subscriber with more behind it: %w", privacy.ErrDamaged)
	}
	id, err := privacy.ParseDataSubjectID(p.DataSubject)
	if err != nil || id.IsZero() {
		return payload{}, privacy.DataSubjectID{}, fmt.Errorf("reading delivery to a subscriber: %w", privacy.ErrDamaged)
	}
	return p, id, nil
}

// Deliveries makes what has to go out because of records that are being added: one for each
// subscriber, person, purpose and channel. They are to be stored in the transaction of the
// records, so that a change and what is told of it are both there or neither.
func Deliveries(v *vault.Vault, random io.Reader, records []consent.Record, to []Subscriber) ([]outbox.Delivery, error) {
	type line struct {
		person  privacy.DataSubjectID
		purpose privacy.Purpose
		channel privacy.Channel
	}
	var list []outbox.Delivery
	for i := range to {
		told := map[line]bool{}
		for n := range records {
			key := line{records[n].DataSubject, records[n].Purpose, records[n].Channel}
			if told[key] || !slices.Contains(to[i].Purposes, key.purpose) {
				continue
			}
			told[key] = true
			text, err := payload{key.person.Reveal(), key.purpose, key.channel}.encode()
			if err != nil {
				return nil, err
			}
			d, err := outbox.New(v, random, outbox.Message{Kind: outbox.Consent, Destination: to[i].ID, Topic: Topic, Payload: text})
			if err != nil {
				return nil, fmt.Errorf("making delivery to a subscriber: %w", err)
			}
			list = append(list, d)
		}
	}
	return list, nil
}

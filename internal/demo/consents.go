package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// asked are the purposes that the shop asks about, each on one channel. Every one has
// three columns in the customers' file: the choice, when it was made, when it ends.
var asked = []struct {
	purpose  privacy.Purpose
	channel  privacy.Channel
	explicit bool
}{
	{"recommendations", privacy.AnyChannel, false},
	{"newsletter", "email", false},
	{"content", privacy.AnyChannel, false},
	{"postal_offers", "postal", false},
	{"pricing", privacy.AnyChannel, true},
	{"social_engagement", privacy.AnyChannel, false},
}

// NoticeVersion names the text that the shop's customers were shown.
const NoticeVersion = "demo-notice-1"

// consents draws what a person of the bundled shop chose.
func (m *maker) consents(person *Person) { person.draw(m.random, m.shop.LastDay) }

// drawConsents draws what a household chose, from its number alone.
func (p *Person) drawConsents(today time.Time) {
	sum := sha256.Sum256([]byte("mahrem demo, synthetic consents v1\x00" + p.Customer))
	p.draw(rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))), today)
}

// draw makes all states occur: granted, refused, withdrawn, objected, expired and, for a
// third of the questions, never asked. Adults of the cast agreed to everything that
// they were asked; nobody asks a child.
func (p *Person) draw(random *rand.Rand, today time.Time) {
	if p.age < 18 {
		return
	}
	for _, question := range asked {
		said := today.AddDate(0, 0, -30-random.IntN(300)).Add(time.Duration(random.IntN(12)) * time.Hour)
		drawn := random.IntN(100)
		choice := Consent{Purpose: question.purpose, At: said}
		switch {
		case p.role != none, drawn < 35:
			choice.Action = consent.Granted
		case drawn < 45:
			choice.Action = consent.Refused
		case drawn < 53:
			choice.Action = consent.Withdrawn
		case drawn < 58:
			choice.Action = consent.Objected
		case drawn < 66:
			choice.Action, choice.ValidUntil = consent.Granted, said.AddDate(0, 0, 14)
		default:
			continue
		}
		p.Consents = append(p.Consents, choice)
	}
}

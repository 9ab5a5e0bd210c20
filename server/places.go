package server

import (
	"fmt"
	"sync"

	"github.com/mahrem/mahrem/privacy"
)

// places are what only so many may have at once, and one recipient no more than half of: who
// comes slowly must not keep all others away.
type places struct {
	total int

	mutex sync.Mutex // and all below
	taken int
	by    map[privacy.RecipientID]int
}

func newPlaces(total int) *places {
	return &places{total: total, by: map[privacy.RecipientID]int{}}
}

// enter takes one of the places for the caller and returns what gives it back, or the problem
// that there are too many of what they are for.
func (c *call) enter(p *places, what string) (leave func(), err error) {
	leave, ok := p.enter(c.principal.Recipient)
	if !ok {
		return nil, &problem{kind: unavailable, cause: fmt.Errorf("too many %s at once, of all recipients or of this one", what)}
	}
	return leave, nil
}

// enter takes a place, if there is one, and returns what gives it back.
func (p *places) enter(by privacy.RecipientID) (leave func(), ok bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.taken >= p.total || p.by[by] >= max(1, p.total/2) {
		return nil, false
	}
	p.taken++
	p.by[by]++
	return func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.taken--
		if p.by[by]--; p.by[by] == 0 {
			delete(p.by, by)
		}
	}, true
}

package server

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
)

// FuzzQueueFilter: whatever stands in a query string is refused or understood, and what is
// understood says the same when it is written again.
func FuzzQueueFilter(f *testing.F) {
	for _, query := range []string{
		"", "kind=erasure&state=received", "overdue=true&all=true", "limit=7&after=" + requestNumber, "limit=x", "kind=a&kind=b", "%zz", "after=",
	} {
		f.Add(query)
	}
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query string) {
		filter, limit, fault := queueFilter(&url.URL{RawQuery: query}, now)
		if fault != nil {
			if fault.kind != malformed {
				t.Errorf("refused as %s", fault.kind.name)
			}
			return
		}
		again := url.Values{"limit": {fmt.Sprint(limit)}}
		if filter.Kind != "" {
			again.Set("kind", string(filter.Kind))
		}
		if filter.State != "" {
			again.Set("state", string(filter.State))
		}
		if !filter.Overdue.IsZero() {
			again.Set("overdue", "true")
		}
		if filter.All {
			again.Set("all", "true")
		}
		if filter.After != (dsar.RequestID{}) {
			again.Set("after", filter.After.String())
		}
		if second, n, fault := queueFilter(&url.URL{RawQuery: again.Encode()}, now); fault != nil || second != filter || n != limit {
			t.Errorf("written again it is refused or another: %+v, %+v", filter, second)
		}
	})
}

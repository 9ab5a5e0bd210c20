package token

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// verified is what a valid token said.
type verified struct {
	principal privacy.Principal
	id        string
	notBefore time.Time
	expiresAt time.Time
}

// cache remembers verified tokens by the SHA-256 of their text, so that the process
// holds no token. Only valid tokens enter, so strangers cannot push anybody out.
//
// It keeps two generations and drops the older one whole when the younger is full:
// bounded, without a list to maintain under the lock of every reader.
type cache struct {
	mu    sync.RWMutex
	young map[[sha256.Size]byte]verified
	old   map[[sha256.Size]byte]verified
	limit int
}

func newCache(size int) *cache {
	return &cache{young: map[[sha256.Size]byte]verified{}, limit: max(size/2, 1)}
}

func (c *cache) get(key [sha256.Size]byte) (verified, bool) {
	c.mu.RLock()
	found, ok := c.young[key]
	if ok {
		c.mu.RUnlock()
		return found, true
	}
	found, ok = c.old[key]
	c.mu.RUnlock()
	if ok {
		c.put(key, found)
	}
	return found, ok
}

func (c *cache) put(key [sha256.Size]byte, found verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]verified, c.limit)
	}
	c.young[key] = found
}

// size is how many tokens are remembered.
func (c *cache) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}

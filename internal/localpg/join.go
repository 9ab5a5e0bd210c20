package localpg

import (
	"os"
	"path/filepath"
	"strings"
)

// JoinURL connects, as the owner, to the server that another process runs in dir, so
// that a command works beside a running service. Whether one is running is found out by
// connecting. [Start] returns [ErrInUse] in that situation.
func JoinURL(dir string) (string, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	s := Server{layout: layoutIn(absolute)}
	if note, err := os.ReadFile(s.layout.socketNote); err == nil {
		s.layout.socket = strings.TrimSpace(string(note))
	}
	return s.URL(), nil
}

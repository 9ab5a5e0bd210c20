package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuTimes returns the processor time that this process and its children, the database
// among them, have used. On a machine that is shared with others it says more than the
// clock does. Without /proc the second one is zero.
func cpuTimes() (own, children time.Duration) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	type process struct {
		parent int
		ticks  int64
	}
	all := map[int]process{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// The second field is a name in parentheses that may hold spaces.
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) < 15 {
			continue
		}
		parent, _ := strconv.Atoi(f[1])
		var ticks int64
		for _, field := range f[11:13] { // user and system
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
		all[pid] = process{parent, ticks}
	}
	self := os.Getpid()
	for pid, p := range all {
		for up := pid; up > 1; up = all[up].parent {
			if up == self && pid != self {
				children += time.Duration(p.ticks) * 10 * time.Millisecond // USER_HZ is 100
				break
			}
		}
	}
	return own, children
}

package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what figures depend on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory uint64 `json:"memory_bytes"`
	System string `json:"system"`
	Go     string `json:"go"`
}

// ThisMachine describes the one that the program runs on. What it cannot find out stays
// empty.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name")
	m.Memory = kilobytes("/proc/meminfo", "MemTotal") << 10
	return m
}

// field returns the value of the first "name : value" line of a file under /proc.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kilobytes(path, name string) uint64 {
	value, _, _ := strings.Cut(field(path, name), " ")
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// peakMemory is the largest resident set of this process since the last resetPeak.
func peakMemory() uint64 { return kilobytes("/proc/self/status", "VmHWM") << 10 }

// resetPeak begins anew. Where that is not possible, the peak is that of the whole life
// of the process, which is not smaller.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

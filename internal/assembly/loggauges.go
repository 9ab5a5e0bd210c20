package assembly

import "github.com/mahrem/mahrem/server"

// logGauges are what an alert needs: while the log cannot be written nothing is answered
// and nothing is changed.
func (h *House) logGauges() []server.Gauge {
	return []server.Gauge{
		{
			Name: "mahrem_log_writable", Help: "1 if the last attempt to write the log succeeded; while it is 0, nothing is answered.",
			Read: func() float64 {
				if h.Log.Status().Writable {
					return 1
				}
				return 0
			},
		},
		{
			Name: "mahrem_log_failures_total", Help: "Entries that could not be written, and whose callers got 503.", Counter: true,
			Read: func() float64 { return float64(h.Log.Status().Failures) },
		},
		{
			Name: "mahrem_log_waiting", Help: "Entries that wait for the next commit of the log.",
			Read: func() float64 { return float64(h.Log.Status().Waiting) },
		},
	}
}

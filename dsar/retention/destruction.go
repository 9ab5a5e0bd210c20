package retention

import "time"

// Destruction is what was destroyed in a time, by counts: what a report says.
type Destruction struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Runs is how many runs of the periodic destruction began and came to their end,
	// Broken how many did not; LongestGap is the longest time without a run, in whole days.
	Runs       int64 `json:"runs"`
	Broken     int64 `json:"runs_broken_off"`
	LongestGap int64 `json:"longest_gap_days"`
	// People is how many people were looked at.
	People int64   `json:"people_examined"`
	Counts []Count `json:"destroyed"`
	// Erasures is how many people were erased at their request, with what went with them.
	Erasures    int64 `json:"erasures"`
	Identifiers int64 `json:"erased_identifiers"`
	Records     int64 `json:"erased_records"`
	Chunks      int64 `json:"erased_event_chunks"`
	// Holds is how many legal holds are in force at the end, Withheld how much is kept from
	// erasures.
	Holds    int64 `json:"holds_in_force"`
	Withheld int64 `json:"withheld_in_force"`
}

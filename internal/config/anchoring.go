package config

import "time"

// Anchoring says where checkpoints of the log are put, so that somebody who may do
// everything here cannot take them back. Everything empty: nowhere.
type Anchoring struct {
	// AnchorFile is a file to which a line is appended for each: best on a machine or a
	// store where lines cannot be taken back.
	AnchorFile string `yaml:"anchor_file" validate:"omitempty,startswith=/"`
	// AnchorURL is an https address to which each is posted.
	AnchorURL string `yaml:"anchor_url" validate:"omitempty,url,startswith=https://"`
	// AnchorEvery is how often at most; zero means an hour. The less often, the less a
	// checkpoint says about a single entry.
	AnchorEvery time.Duration `yaml:"anchor_every" validate:"omitempty,min=60000000000"`
	// DangerAnchorPrivateAddresses lets AnchorURL lead to this machine and to private
	// networks, such as a store inside the house.
	DangerAnchorPrivateAddresses bool `yaml:"danger_anchor_private_addresses"`
}

// Every is how often a checkpoint is anchored at most.
func (a Anchoring) Every() time.Duration {
	if a.AnchorEvery == 0 {
		return time.Hour
	}
	return a.AnchorEvery
}

package config

import (
	"cmp"
	"time"
)

// Signing says who signs the checkpoints of the log, and who signs with them.
type Signing struct {
	// Signer is the directory with the key and the memory of a signer of its own (mahrem
	// auditd). Empty means HOME/auditd. The server has no business there.
	Signer string `yaml:"signer" validate:"required"`
	// LogKey is a file with the public key of a signer of its own, as mahrem auditd init
	// writes it: the key that signs now on its first line, those before it below. With it the
	// server signs no checkpoints, and believes those by this key. Empty: the server signs.
	LogKey string `yaml:"log_key" validate:"omitempty,file"`
	// Witnesses is a file that says who the witnesses are and how many are enough (C2SP
	// tlog-policy). Empty means nobody.
	Witnesses string `yaml:"witnesses" validate:"omitempty,file"`
	// WitnessAlarm is how long a checkpoint may wait for its quorum, or the log for the next
	// checkpoint, before that is an alarm. Zero means 5 minutes.
	WitnessAlarm time.Duration `yaml:"witness_alarm" validate:"omitempty,min=1s"`
	// WitnessRequired lets the gate answer nothing from the alarm on until there is a quorum.
	WitnessRequired bool `yaml:"witness_required" validate:"excluded_without=Witnesses"`
}

// fromEnvironment returns what the environment says.
func (Signing) fromEnvironment(getenv func(string) string) Signing {
	return Signing{Signer: getenv("MAHREM_SIGNER"), LogKey: getenv("MAHREM_LOG_KEY"), Witnesses: getenv("MAHREM_WITNESSES")}
}

// take overwrites fields with those of other that are not empty.
func (s *Signing) take(other Signing) {
	s.Signer = cmp.Or(other.Signer, s.Signer)
	s.LogKey = cmp.Or(other.LogKey, s.LogKey)
	s.Witnesses = cmp.Or(other.Witnesses, s.Witnesses)
}

// defaultWitnessAlarm is [Signing.WitnessAlarm] when nobody said.
const defaultWitnessAlarm = 5 * time.Minute

// Alarm is how long may pass without checkpoint or quorum.
func (s Signing) Alarm() time.Duration { return cmp.Or(s.WitnessAlarm, defaultWitnessAlarm) }

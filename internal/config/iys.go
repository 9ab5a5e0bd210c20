package config

import "time"

// IYS says who we are at Turkey's national registry of messages. Without a brand, nothing is
// asked there and nothing told.
type IYS struct {
	// IYSCode is the sender's number, IYSBrand the brand's.
	IYSCode  int64 `yaml:"iys_code" validate:"required_with=IYSCredentials,omitempty,min=1"`
	IYSBrand int64 `yaml:"iys_brand" validate:"required_with=IYSCode,omitempty,min=1"`
	// IYSCredentials is a file with the account of the API: the user on its first line, the
	// password on the second.
	IYSCredentials string `yaml:"iys_credentials" validate:"omitempty,file"`
	// IYSAddress is the registry; empty: the one that counts. The sandbox is
	// https://api.sandbox.iys.org.tr. Http is for this machine alone.
	IYSAddress string `yaml:"iys_address" validate:"omitempty,url"`
	// IYSNotice is the version of the notice with which approvals are recorded; empty: "iys".
	IYSNotice string `yaml:"iys_notice" validate:"omitempty,max=64"`
	// IYSEvery is how often a server asks for movements; zero means every quarter of an hour.
	IYSEvery time.Duration `yaml:"iys_every" validate:"omitempty,min=60000000000"`
}

// Every is how often a server asks for movements.
func (i IYS) Every() time.Duration {
	if i.IYSEvery == 0 {
		return 15 * time.Minute
	}
	return i.IYSEvery
}

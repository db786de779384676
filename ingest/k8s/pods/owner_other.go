//go:build !linux

package pods

import (
	"errors"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

func cgroupOf(_, _ netip.AddrPort) (event.CgroupID, error) { return 0, errors.ErrUnsupported }

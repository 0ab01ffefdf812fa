"""API v2, the industry's wire standard, spoken as its client to one provider."""

from app.providers.adapters.panel_v2.adapter import CAPABILITIES, IDS_PER_STATUS_CALL, NAME, PanelV2

__all__ = ["CAPABILITIES", "IDS_PER_STATUS_CALL", "NAME", "PanelV2"]

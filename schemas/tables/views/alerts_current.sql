-- Alerts, each at its last revision; withdrawn ones too.
SELECT *
FROM {{from "alerts"}}
WHERE {{recent "date"}}
QUALIFY ROW_NUMBER() OVER (PARTITION BY alert_id ORDER BY revision DESC) = 1

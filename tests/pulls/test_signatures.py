"""The vendors' own published examples: what they say must come out does."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from monitors.collectors import alibaba_actiontrail, huawei_cts, tencent_cloudaudit
from monitors.pull_http import query

EMPTY = hashlib.sha256(b"").hexdigest()


def test_huawei_signs_as_its_signing_guide_shows() -> None:
    """support.huaweicloud.com, devg-apisign, "Signature algorithm": the pages 002 to 005 carry one request through."""
    pairs = [("limit", "2"), ("marker", "13551d6b-755d-4757-b956-536f674975c0")]
    headers = {
        "content-type": "application/json",
        "host": "service.region.example.com",
        "x-sdk-date": "20191115T033655Z",
    }
    key = {"access_key": "QTWAOYTTINDUT2QVKYUC", "secret_key": "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"}
    target = f"/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?{query(pairs)}"
    assert huawei_cts.authorization("GET", target, headers, b"", key) == (
        "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, "
        "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
    )


def test_alibaba_signs_as_its_v3_page_shows() -> None:
    """help.aliyun.com, "Request syntax and signature method V3", fixed parameters of the example."""
    pairs = [("RegionId", "cn-shanghai"), ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")]
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    key = {"access_key_id": "YourAccessKeyId", "access_key_secret": "YourAccessKeySecret"}
    assert alibaba_actiontrail.authorization("POST", f"/?{query(pairs)}", headers, key) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_tencent_signs_as_its_v3_page_showed() -> None:
    """cloud.tencent.com, "Signature v3", the example as it was printed with a whole key (content-type and host signed)."""
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    headers = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
    key = {"secret_id": "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "secret_key": "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"}
    assert tencent_cloudaudit.authorization(headers, body, key, "cvm", 1551113065) == (
        "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, "
        "SignedHeaders=content-type;host, Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def test_what_stands_in_a_query_is_encoded_by_rfc_3986() -> None:
    assert query([("b", "v=a b*c~d/e+"), ("a", "云")]) == "a=%E4%BA%91&b=v%3Da%20b%2Ac~d%2Fe%2B"


def test_a_temporary_key_is_sent_and_signed() -> None:
    at = datetime(2026, 11, 24, 8, tzinfo=UTC)
    huawei = huawei_cts.signed("h", "/v3/p/traces", {"access_key": "a", "secret_key": "s", "security_token": "t"}, at)
    assert huawei.headers["x-security-token"] == "t"
    assert "x-security-token" in huawei.headers["authorization"]
    key = {"access_key_id": "a", "access_key_secret": "s", "security_token": "t"}
    alibaba = alibaba_actiontrail.signed("h", "/", key, "n", at)
    assert "x-acs-security-token" in alibaba.headers["authorization"]
    tencent = tencent_cloudaudit.signed(
        "h", "ap-guangzhou", b"{}", {"secret_id": "a", "secret_key": "s", "token": "t"}, at
    )
    assert tencent.headers["x-tc-token"] == "t"

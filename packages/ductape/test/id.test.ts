import { describe, expect, it } from "vitest";
import { timedUuid } from "../src/base/id.js";

const RANDOM = "2f1b6a4e-8c1d-4b7e-9f00-0123456789ab";

describe("a timed UUID", () => {
  it("has the time first, then its version, then what was drawn", () => {
    // The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z.
    const random = "00000000-0000-4cc3-98c4-dc0c0c07398f";
    expect(timedUuid(random, Date.UTC(2022, 1, 22, 19, 22, 22))).toBe(
      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    );
  });

  it("sorts by the instant it was made", () => {
    const ids = [0, 1, 255, 256, 1e12, 2e12, 2 ** 48 - 1].map((atMs) => timedUuid(RANDOM, atMs));
    expect(ids.toSorted()).toEqual(ids);
  });

  it.each([-5, 0, 2 ** 48, 8_640_000_000_000_000])("is a UUID at %d ms", (atMs) => {
    expect(timedUuid(RANDOM, atMs)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7b7e-9f00-0123456789ab$/);
  });
});

// @ts-check
// Divides the slots that the server allows one client among the browser's tabs. No clock, no messages.

/**
 * Slots for each member: the one with the fewest gets the next, as long as it wants more. Visible pages come first: while one
 * of them wants any, a hidden page gets a single slot at most, and only if they leave one.
 * @param {number} slots
 * @param {{ want: number, front: boolean }[]} members
 * @param {number} turn which member comes first among equals; counting it up gives each member a turn
 * @returns {number[]} in the order of the members
 */
export function divide(slots, members, turn) {
  const crowded = members.some(({ want, front }) => front && want > 0);
  const wants = members.map(({ want, front }) => (front || !crowded ? want : Math.min(want, 1)));
  const shares = members.map(() => 0);
  const order = members.map((_, index) => (index + turn) % members.length);
  const precedes = (/** @type {number} */ one, /** @type {number} */ other) =>
    shares[one] - shares[other] || Number(members[other].front) - Number(members[one].front);
  for (let left = slots; left > 0; left -= 1) {
    const hungry = order.filter((index) => shares[index] < wants[index]);
    if (hungry.length === 0) break;
    shares[hungry.reduce((first, index) => (precedes(index, first) < 0 ? index : first))] += 1;
  }
  return shares;
}

"""What programs of phones and Macs printed, as their owners published it."""

from __future__ import annotations

#: A Samsung A52 5G with Android 12: https://android.stackexchange.com/questions/246774 (CC BY-SA). The figures of the
#: cached temperatures are left out here where they repeat those of the hardware layer.
SAMSUNG_A52 = """IsStatusOverride: false
ThermalEventListeners:
        callbacks: 1
        killed: false
        broadcasts count: -1
ThermalStatusListeners:
        callbacks: 4
        killed: false
        broadcasts count: -1
Thermal Status: 0
Cached temperatures:
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
HAL Ready: true
HAL connection:
        ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
        Temperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
        Temperature{mValue=24.7, mType=3, mName=LRB, mStatus=0}
        Temperature{mValue=25.7, mType=5, mName=PA, mStatus=0}
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
Current cooling devices from HAL:
Temperature static thresholds from HAL:
"""

#: An NVIDIA Shield TV under load: https://github.com/bryanroscoe/shield_optimizer/issues/6. It reports that the cached
#: 37 °C are stale, and that the hardware layer says 66.5 °C below them; of that part only this figure is told.
SHIELD_TV = """Thermal Status: 0
Cached temperatures:
        Temperature{mValue=36.0, mType=1, mName=GPU, mStatus=0}
        Temperature{mValue=37.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
Current temperatures from HAL:
        Temperature{mValue=66.5, mType=0, mName=CPU0, mStatus=0}
"""

#: A MacBook Pro of 2011 without a battery, at about 50 °C and not hot at all: a question at Ask Different, kept at
#: https://newbetuts.com/407192-where-does-the-pmset-cpu-speed-limit-variable-come-from-and-how-to-modify-it
MACBOOK_WITHOUT_BATTERY = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
2020-11-24 13:10:40 +0100 CPU Power notify
\tCPU_Scheduler_Limit \t= 100
\tCPU_Available_CPUs \t= 8
\tCPU_Speed_Limit \t= 35
"""
